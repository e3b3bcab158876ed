"""Names of the files in a result folder; `fedmvp.results` lists the module for each of them."""

from __future__ import annotations

__all__ = [
    "COUNTS",
    "EXPLAINED",
    "FAILURES",
    "METRICS",
    "PERSONAL",
    "PREDICTIONS",
    "PROMPTS",
    "RECORD",
    "ROUNDS",
    "SCORES",
    "TARGETS",
    "WEIGHTS",
]

RECORD = "run.json"
ROUNDS = "rounds.csv"
FAILURES = "failures.json"
WEIGHTS = "weights.safetensors"
TARGETS = "targets.csv"
PREDICTIONS = "predictions.csv"
SCORES = "scores.safetensors"
METRICS = "metrics.json"
EXPLAINED = "explain.json"
PROMPTS = "prompts.safetensors"
PERSONAL = "personal.json"
COUNTS = "counts.json"
"""Of a federation of sites: each site's counts on its held-out images."""
