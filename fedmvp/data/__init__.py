"""A dataset's images: fetching, listing, splitting, simulated cameras and decoding.

Nothing here imports torch: images are numpy arrays.
"""
