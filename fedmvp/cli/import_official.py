"""``fedmvp import-official``: checkpoints of the official FedMVP code, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["import_official"]


def import_official(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="An official model.pth.tar-N, or weights of ours to export."),
    ],
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write our safetensors here.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write an official checkpoint here.")
    ] = None,
    lora: Annotated[
        bool, typer.Option("--lora/--no-lora", help="Whether LoRA is on; official evaluation: off.")
    ] = False,
    fold: Annotated[str | None, typer.Option(help="Fold of our weights to export.")] = None,
) -> None:
    """Convert official FedMVP checkpoints.

    Reads an official file into our format, or writes one from weights of ours.

    Imported tensors are fp32 and keep a note of their first number format, so exporting them
    again gives the same bits. Predict with them as with results: `fedmvp predict --weights`.
    """
    from fedmvp.errors import ConfigError
    from fedmvp.methods.official_checkpoint import OfficialCheckpoint, to_official, write_official
    from fedmvp.output_files import check_output
    from fedmvp.results.learned import save_learned, weights_file

    if out is None and export is None:
        raise ConfigError(
            "nothing to write",
            where="fedmvp import-official",
            hint="give --out FILE, --export FILE, or both",
        )
    for path in (out, export):
        if path is not None:
            check_output(path, [weights_file(checkpoint)])
    if out is not None and export is not None and out.resolve() == export.resolve():
        raise ConfigError("--out and --export are the same file", where=out, hint="name two files")
    tensors, note = _read(checkpoint, fold, lora=lora)
    if out is not None:
        save_learned(out, tensors, note)
        say(f"{out}: {len(tensors)} tensors, {_count(tensors):,} parameters")
    if export is not None:
        state = to_official(tensors, checkpoint, dtypes=note.get("dtypes"))
        write_official(export, OfficialCheckpoint(state, note.get("epoch")))
        say(f"{export}: {len(state)} tensors, {_count(state):,} parameters")


def _read(
    checkpoint: Path, fold: str | None, *, lora: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return our tensors and the note of the file, from either format."""
    from fedmvp.errors import CheckpointError
    from fedmvp.methods.official_checkpoint import from_official, read_official
    from fedmvp.results.learned import read_learned

    if checkpoint.suffix == ".safetensors" or checkpoint.is_dir():
        learned = read_learned(checkpoint, fold)
        if learned.resolved.get("start", "random") != "random":
            raise CheckpointError(
                "the official code has no prompts that start as patches: it would compute others",
                where=checkpoint,
                value=f"start: {learned.resolved['start']}",
                hint="train with methods.fedmvp.start: random",
            )
        return dict(learned.tensors), dict(learned.note)
    official = read_official(checkpoint)
    tensors = from_official(official.state)
    note = {
        "method": "fedmvp",
        "source": "official",
        "epoch": official.epoch,
        "dtypes": official.dtypes,
        "params": {"rank": tensors["promptformer.lora.query_a"].shape[1], "lora_eval": lora},
    }
    return tensors, note


def _count(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())
