"""Evaluation settings: which clients train on what, and what the result is tested on.

``setting_spec`` reads a setting's YAML, ``folds`` writes its shorthands out, ``sampling`` and
``schemes`` hold the rules that make clients, ``build`` makes the partition, whose types are in
``model``. Nothing imports torch.
"""
