"""A training, as far as a bystander sees it: the checkpoints it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from tests.unit.tracking.samples import rounds


def failure(round_index: int = 0, **more: str) -> dict[str, Any]:
    """Return the record of a client that failed."""
    return {
        "client": "animals-9",
        "round_index": round_index,
        "error": "E: broke",
        "trace": "",
        **more,
    }


def save_rounds(
    scratch: Path,
    fold: str,
    done: int,
    *,
    seed: int = 1,
    failures: list[dict[str, Any]] | None = None,
    tensors: dict[str, Tensor] | None = None,
) -> None:
    """Write the checkpoint after some rounds of `samples.rounds`."""
    rows = [row for row in rounds(seed, fold) if row["round"] < done]
    rows = [{key: value for key, value in row.items() if key != "fold"} for row in rows]
    checkpoint = Checkpoint(done, tensors or {}, rows=rows, failures=failures or [])
    CheckpointFolder(scratch / fold).save(checkpoint)
