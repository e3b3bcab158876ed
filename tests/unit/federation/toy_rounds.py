"""Toy runs of a few rounds with three clients; one can be killed after any of its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from fedmvp.federation.client import ClientData
from fedmvp.federation.rounds import FederationResult, RoundReport, run_federation
from fedmvp.federation.states import StateFolder
from tests.toys import NAMES, fedmvp

CLIENTS = {"a": NAMES[:2], "b": NAMES[2:5], "c": NAMES[5:7]}
Load = Callable[[str], ClientData]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def run(
    tiny: Backbone,
    load: Load,
    params: FederationParams,
    folder: Path | None = None,
    *,
    kill_after: int | None = None,
    progress: Callable[[RoundReport], None] | None = None,
    **method_params: Any,
) -> FederationResult:
    method = fedmvp(tiny, **method_params)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    states = StateFolder(folder / "states", method.first_phase) if folder else None
    backend = InProcessBackend(method, load, list(CLIENTS), params, 1, states)
    checkpoints = None
    if folder:
        checkpoints = killing(folder, kill_after) if kill_after else CheckpointFolder(folder)
    return run_federation(
        start, backend, list(CLIENTS), params, seed=1, checkpoints=checkpoints, progress=progress
    )


def killing(folder: Path, after: int) -> CheckpointFolder:
    """Return a folder whose process ends once it holds the checkpoint after so many rounds."""
    return _Killing(folder, after)


class _Killing(CheckpointFolder):
    def __init__(self, path: Path, after: int) -> None:
        super().__init__(path)
        self.after = after

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        if checkpoint.rounds_done == self.after:
            raise Killed
