"""A dataset's images: how they are fetched, listed, split, photographed and decoded.

Nothing here imports torch: images are numpy arrays.
"""
