"""Learned tensors from a file, and what the file or the run beside it says about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from fedmvp.errors import CheckpointError, ConfigError
from fedmvp.files import parse_json
from fedmvp.methods import METHODS
from fedmvp.output_files import write_output
from fedmvp.results.files import RECORD, WEIGHTS
from fedmvp.results.record import read_record
from fedmvp.tensor_files import read_tensors

__all__ = ["Learned", "read_learned", "save_learned", "weights_file"]

_NOTE = "fedmvp"
"""The only metadata key of our safetensors files; several would have no fixed order."""


@dataclass(frozen=True)
class Learned:
    """The tensors of one fold of one method.

    Parameters
    ----------
    method : str or None
        None if the file does not name it.
    tensors : mapping of str to Tensor
        By the method's parameter names.
    resolved : mapping
        The method's section as the run resolved it; empty without a run.json.
    fixed : mapping
        Entries of the section that go with the tensors, whichever variant is requested.
    run : mapping
        run.json beside the file; empty without one.
    note : mapping
        All of the file's own metadata.
    """

    method: str | None
    tensors: Mapping[str, Tensor]
    resolved: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    note: Mapping[str, Any] = field(default_factory=dict)


def save_learned(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write tensors with a note of their method, and the entries of its section they need."""
    text = json.dumps(note, sort_keys=True, ensure_ascii=False)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_output(path, save(contiguous, metadata={_NOTE: text}))


def read_learned(path: Path, fold: str | None = None) -> Learned:
    """Read a result's weights.safetensors (or its folder), or an imported file.

    Parameters
    ----------
    fold : str, optional
        Fold of the setting; may be left out if there is only one.

    Raises
    ------
    CheckpointError
        When the file cannot be read, or has several folds and none was chosen.
    """
    path = weights_file(path)
    every, note = _read(path)
    tensors = _fold_of(every, fold, path)
    run = _run_beside(path)
    method = note.get("method") or run.get("method")
    if method is None and any(name.startswith("promptformer.") for name in tensors):
        method = "fedmvp"
    if method is not None and (not isinstance(method, str) or method not in METHODS):
        raise CheckpointError(
            "made by an unknown method",
            where=path,
            value=method,
            hint="use the version of fedmvp that made it",
        )
    resolved = run.get("params", {}).get("method", {})
    return Learned(method, tensors, resolved, note.get("params", {}), run, note)


def weights_file(path: Path) -> Path:
    """Return the weights file of a path: the path itself, or the file in a result's folder."""
    return path / WEIGHTS if path.is_dir() else path


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    hint = (
        "give weights.safetensors of a result, or import an official checkpoint with "
        "`fedmvp import-official`"
    )
    if not path.is_file():
        raise CheckpointError("file is missing", where=path, hint=hint)
    try:
        tensors, metadata = read_tensors(path)
        note = parse_json(metadata.get(_NOTE, "{}"))
    except Exception as error:  # parsers of untrusted bytes raise many kinds
        raise CheckpointError(
            f"not a safetensors file ({type(error).__name__})", where=path, hint=hint
        ) from None
    _require_finite(tensors, path)
    if not isinstance(note, dict) or not isinstance(note.get("params", {}), dict):
        raise CheckpointError("its metadata was not written by fedmvp", where=path, hint=hint)
    return tensors, note


def _require_finite(tensors: Mapping[str, Tensor], where: Path | str) -> None:
    """Refuse tensors with values that are not finite numbers.

    Raises
    ------
    CheckpointError
        Naming the first tensor that is not of floating-point numbers, or has NaN or infinity.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
            raise CheckpointError(
                "tensor has values that are not finite numbers",
                where=where,
                value=name,
                hint="train again, or restore the file",
            )


def _fold_of(every: Mapping[str, Tensor], fold: str | None, path: Path) -> dict[str, Tensor]:
    """Return one fold's global tensors; names without a fold are taken as they are."""
    common = {name: tensor for name, tensor in every.items() if "@" not in name}
    folds = sorted({name.partition("/")[0] for name in common if "/" in name})
    if not folds:
        if fold is not None:
            raise ConfigError("file has no folds", where=path, value=fold, hint="drop --fold")
        return common
    if fold is None and len(folds) > 1:
        raise ConfigError(
            "file has several folds", where=path, hint=f"choose one with --fold: {', '.join(folds)}"
        )
    chosen = folds[0] if fold is None else fold
    if chosen not in folds:
        raise ConfigError(
            "no such fold", where=path, value=fold, hint=f"use one of: {', '.join(folds)}"
        )
    prefix = f"{chosen}/"
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in common.items()
        if name.startswith(prefix)
    }


def _run_beside(path: Path) -> Mapping[str, Any]:
    beside = path.with_name(RECORD)
    if path.name != WEIGHTS or not beside.is_file():
        return {}
    return read_record(beside).content
