"""Checkpoints outside the tree: one atomic file per phase, everything the future depends on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from pretrain.optimise import MovingAverage

__all__ = ["checkpoint_folder", "load_checkpoint", "save_checkpoint"]


def checkpoint_folder(phase: str) -> Path:
    """Return the folder of a phase, made when missing.

    Below the environment's `PICTOCLIP_CHECKPOINTS`, by default `~/.cache/fedmvp/pictoclip`.
    """
    default = Path.home() / ".cache" / "fedmvp" / "pictoclip"
    folder = Path(os.environ.get("PICTOCLIP_CHECKPOINTS", default)) / phase
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_checkpoint(folder: Path, module: nn.Module, optimizers: Sequence[torch.optim.Optimizer],
                    average: MovingAverage, done: int) -> None:  # fmt: skip
    """Write `last.pt` atomically."""
    temporary = folder / "last.tmp"
    torch.save({"module": module.state_dict(), "optimizers": [o.state_dict() for o in optimizers],
                "average": average.values, "average_steps": average.steps,
                "done": done}, temporary)  # fmt: skip
    temporary.replace(folder / "last.pt")


def load_checkpoint(folder: Path, module: nn.Module, optimizers: Sequence[torch.optim.Optimizer],
                    average: MovingAverage) -> int:  # fmt: skip
    """Restore `last.pt` where there is one and return the work done so far, else 0."""
    path = folder / "last.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    for optimizer, content in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(content)
    average.values = state["average"]
    average.steps = state["average_steps"]
    return int(state["done"])
