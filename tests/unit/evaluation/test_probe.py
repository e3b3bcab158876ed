from __future__ import annotations

import numpy as np
import pytest

from fedmvp.evaluation.probe import linear_probe


@pytest.mark.slow  # imports scikit-learn
def test_probe_separates_what_is_separable_and_guesses_what_is_not() -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 3
    noise = draw.normal(size=(60, 16)).astype(np.float32) * 0.1
    signal = np.eye(16, dtype=np.float32)[labels]
    assert linear_probe(signal + noise, labels, signal - noise, labels) == 1.0
    assert linear_probe(noise, labels, draw.permutation(noise), labels) < 0.8
