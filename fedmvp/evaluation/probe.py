"""Linear probe: how well the frozen image features separate a dataset's classes.

A centralised logistic regression on features of the training split, tested on the test split. It
says what the backbone sees, whatever its text side: a reference beside zero-shot numbers, not a
method of the comparison.

Shapes: N images, e joint embedding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["linear_probe"]


def linear_probe(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    *,
    inverse_penalty: float = 10.0,
) -> float:
    """Return the test accuracy of a logistic regression, a fraction.

    Parameters
    ----------
    train, test : ndarray of shape [N, e]
        L2-normalised features.
    train_labels, test_labels : ndarray of shape [N]
    inverse_penalty : float
        C of scikit-learn's LogisticRegression; features of unit norm want a weak penalty.
    """
    from sklearn.linear_model import LogisticRegression

    # Unit-norm features vary little; scaling lets the solver converge in few steps.
    scale = np.sqrt(train.shape[1])
    model = LogisticRegression(C=inverse_penalty, max_iter=500)
    model.fit(train * scale, train_labels)
    return float(model.score(test * scale, test_labels))
