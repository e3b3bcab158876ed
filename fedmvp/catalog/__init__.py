"""The description of a dataset: its classes, domains, sources, layout on disk, splits and cameras.

There is one YAML file per dataset in ``datasets/``; the models in these modules validate them.
"""
