"""Evaluation settings: which clients train on what, and what the result is tested on.

``setting_spec`` reads a setting's YAML, ``folds`` expands its shorthands, ``sampling`` and
``schemes`` contain the rules that make clients, ``build`` makes the partition, whose types are in
``model``. No module here imports torch.
"""
