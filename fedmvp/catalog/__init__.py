"""What a dataset is: its classes, domains, sources, layout on disk, splits and cameras.

One YAML a dataset, in ``datasets/``; the models of these modules validate them.
"""
