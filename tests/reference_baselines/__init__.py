"""The federated baselines written a second time, from their formulas, as plainly as possible.

One image, one class, one text at a time, in float64; nothing of the package is imported. The
layers' arithmetic is that of `tests.reference`.
"""
