"""Evaluation settings: which clients train on what, and what the result is tested on.

``spec`` reads a setting's YAML, ``folds`` writes its shorthands out, ``sampling`` holds the rules
for class blocks and shots, ``build`` makes a ``partition`` of manifests. Nothing imports torch.
"""
