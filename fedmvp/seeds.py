"""Random generators derived from names, never from a global state.

Every draw of the pipeline comes from ``generator(seed, purpose, *key)``: the same words give the
same stream on every run, and two purposes never share one (docs/reproducibility.md).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["derive", "numpy_generator", "torch_generator"]


def derive(seed: int, purpose: str, *key: str | int) -> int:
    """Return a 63-bit seed for the named draw.

    Parameters
    ----------
    seed : int
        The run's seed.
    purpose : str
        What is drawn, e.g. ``"shots"`` or ``"batches"``.
    *key : str or int
        Further coordinates: dataset, client, round.

    Examples
    --------
    >>> derive(1, "shots", "animals") == derive(1, "shots", "animals")
    True
    >>> derive(1, "shots", "animals") == derive(2, "shots", "animals")
    False
    """
    # repr keeps ("1",) and (1,) apart; the unit separator cannot occur in a repr.
    text = "\x1f".join([repr(seed), purpose, *(repr(k) for k in key)])
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_generator(seed: int, purpose: str, *key: str | int) -> np.random.Generator:
    """Return numpy's generator for the named draw (see `derive`)."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *key)))


def torch_generator(seed: int, purpose: str, *key: str | int) -> torch.Generator:
    """Return torch's CPU generator for the named draw (see `derive`).

    Draws are made on the CPU and moved, so a GPU run starts from the same numbers.
    """
    import torch

    return torch.Generator().manual_seed(derive(seed, purpose, *key))
