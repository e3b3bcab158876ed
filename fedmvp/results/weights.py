"""weights.safetensors: which tensor of which fold, and of which client, has which name.

``<fold>/<name>`` is a global tensor after the last round; ``<fold>/<name>@<client>`` is a client's
personal tensor. With ``federation.kept_rounds``, the prefix ``round@<number>/``, counted from 0,
marks the same tensors after a round before the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from fedmvp.errors import CheckpointError
from fedmvp.files import write_bytes
from fedmvp.methods.base import Method
from fedmvp.results.files import WEIGHTS
from fedmvp.tensor_files import read_tensors

__all__ = [
    "earlier_rounds",
    "fold_tensors",
    "personal_tensors",
    "read_weights",
    "round_name",
    "tensor_name",
    "write_weights",
]

_ROUND = "round@"  # no fold's name has this sign


def tensor_name(fold: str, name: str, client: str | None = None) -> str:
    """Return the name in weights.safetensors of a method's tensor."""
    return f"{fold}/{name}" if client is None else f"{fold}/{name}@{client}"


def round_name(round_index: int, name: str) -> str:
    """Return the name in weights.safetensors of tensor `name` after a round before the last."""
    return f"{_ROUND}{round_index}/{name}"


def earlier_rounds(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the tensors of each kept round before the last, in order, without the prefix."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(_ROUND):
            number, _, name = key.removeprefix(_ROUND).partition("/")
            found.setdefault(int(number), {})[name] = tensor
    return [found[number] for number in sorted(found)]


def write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write weights.safetensors; tensors are named by the functions above."""
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    write_bytes(folder / WEIGHTS, content)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights.safetensors of a run.

    Raises
    ------
    CheckpointError
        When it is missing or damaged.
    """
    try:
        tensors, _ = read_tensors(path)
    except Exception as error:  # parsers of untrusted bytes raise many kinds
        raise CheckpointError(
            f"learned tensors cannot be read ({error})",
            where=path,
            hint="train again: `dvc repro --force train`",
        ) from None
    return dict(tensors)


def fold_tensors(method: Method, tensors: Mapping[str, Tensor], fold: str) -> dict[str, Tensor]:
    """Return the global tensors of one fold, complete for `method`.

    Raises
    ------
    CheckpointError
        Naming the first tensor that is missing, misshapen or not finite.
    """
    own = method.tensors()
    found = {}
    for name, parameter in own.items():
        key = tensor_name(fold, name)
        hint = "train again: `dvc repro --force train`"
        if key not in tensors:
            raise CheckpointError("tensor is missing", where=WEIGHTS, value=key, hint=hint)
        if tensors[key].shape != parameter.shape:
            raise CheckpointError(
                f"tensor {key} has shape {tuple(tensors[key].shape)}, expected "
                f"{tuple(parameter.shape)}",
                where=WEIGHTS,
                hint=hint,
            )
        if not tensors[key].is_floating_point() or not bool(tensors[key].isfinite().all()):
            raise CheckpointError(
                "tensor has values that are not finite numbers", where=WEIGHTS, value=key, hint=hint
            )
        found[name] = tensors[key]
    return found


def personal_tensors(tensors: Mapping[str, Tensor], fold: str, client: str) -> dict[str, Tensor]:
    """Return the personal tensors of a client of a fold; empty for most methods."""
    start, end = f"{fold}/", f"@{client}"
    return {
        key.removeprefix(start).removesuffix(end): tensor
        for key, tensor in tensors.items()
        if key.startswith(start) and key.endswith(end)
    }
