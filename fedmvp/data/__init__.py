"""Datasets: what they are (catalog), where they come from (sources), and their images.

Nothing here imports torch: images are numpy arrays.
"""
