"""Federated multimodal visual prompt tuning (FedMVP) for CLIP, as a reproducible pipeline.

`load`, `train` and `evaluate` are `fedmvp.api`'s, imported when they are first used: importing
``fedmvp`` alone loads neither torch nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedmvp.api import Model, Scores, Training, evaluate, load, train

__version__ = "0.1.0"

__all__ = ["Model", "Scores", "Training", "__version__", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for; modules of this package never ask here (tests/unit/test_layers)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fedmvp import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]
