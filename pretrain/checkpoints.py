"""Checkpoints outside the tree: one atomic file per phase, everything the future depends on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedmvp.errors import CheckpointError
from pretrain.optimise import MovingAverage

__all__ = [
    "Progress",
    "average_of",
    "checkpoint_folder",
    "load_checkpoint",
    "save_checkpoint",
    "work_done",
]


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes
    ----------
    done : int
        Examples seen.
    draws : tuple of Tensor
        State of each worker's generator, uint8; empty where a checkpoint has none.
    """

    done: int = 0
    draws: tuple[Tensor, ...] = ()


def checkpoint_folder(phase: str) -> Path:
    """Return the folder of a phase, made when missing.

    Below the environment's `PICTOCLIP_CHECKPOINTS`, by default `~/.cache/fedmvp/pictoclip`.
    """
    default = Path.home() / ".cache" / "fedmvp" / "pictoclip"
    folder = Path(os.environ.get("PICTOCLIP_CHECKPOINTS", default)) / phase
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_checkpoint(
    folder: Path,
    module: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    average: MovingAverage,
    progress: Progress,
    identity: str,
) -> None:
    """Write `last.pt` atomically."""
    temporary = folder / "last.tmp"
    torch.save(
        {
            "module": module.state_dict(),
            "optimizers": [o.state_dict() for o in optimizers],
            "average": average.values,
            "average_steps": average.steps,
            "done": progress.done,
            "draws": list(progress.draws),
            "identity": identity,
        },
        temporary,
    )
    temporary.replace(folder / "last.pt")


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state


def load_checkpoint(
    folder: Path,
    module: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    average: MovingAverage,
    identity: str,
) -> Progress:
    """Restore `last.pt` where there is one and return how far it had come.

    Raises
    ------
    CheckpointError
        When it was trained with another recipe: going on would make weights that no recipe
        describes.
    """
    path = folder / "last.pt"
    if not path.exists():
        return Progress()
    state = _read(path)
    if state.get("identity", identity) != identity:
        raise CheckpointError(
            "checkpoint of another recipe",
            where=path,
            value="not this params.yaml",
            hint="move it away, or name another folder in PICTOCLIP_CHECKPOINTS",
        )
    module.load_state_dict(state["module"])
    for optimizer, content in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(content)
    average.load(state["average"], state["average_steps"])
    return Progress(int(state["done"]), tuple(state.get("draws", ())))


def average_of(folder: Path) -> dict[str, Tensor]:
    """Return the averaged weights of a phase's last checkpoint.

    Raises
    ------
    FileNotFoundError
        When the phase has not been run.
    """
    average: dict[str, Tensor] = _read(folder / "last.pt")["average"]
    return average


def work_done(folder: Path) -> int:
    """Return how many examples a phase's last checkpoint has seen, 0 where there is none."""
    path = folder / "last.pt"
    return int(_read(path)["done"]) if path.exists() else 0
