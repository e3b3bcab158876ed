"""Evaluation: accuracy per target, and the metrics of each protocol."""
