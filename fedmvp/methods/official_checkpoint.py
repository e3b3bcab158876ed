"""Checkpoints of the official code, in both directions (docs/method.md#official-checkpoint).

A ``model.pth.tar-<round>`` has 22 tensors, cast to fp16 by the official code. Ours are fp32, with
separate query, key and value projections. As fp32 can represent every fp16 and bf16 number, a round
trip returns the same bits. An official file does not say whether LoRA was on.

Shapes: d vision width, e joint embedding, r LoRA rank.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmvp.clip.torch_files import foreign_objects, read_torch, save_alone
from fedmvp.errors import CheckpointError
from fedmvp.output_files import write_output

__all__ = ["OfficialCheckpoint", "from_official", "read_official", "to_official", "write_official"]

_LORA = "cross_loraparams.cross_"
_ATTENTION = "crossattn.cross_attend_blocks.0."
_FEED_FORWARD = "crossattn.cross_attend_blocks.1.net."
_FUSED = f"{_ATTENTION}fn.in_proj_"
_PATHS = ("query", "key", "value")
_PARTS = ("weight", "bias")

#: Official key → ours, for tensors that both store in the same way.
_SAME: dict[str, str] = {
    **{
        f"{_LORA}{path}{factor}": f"promptformer.lora.{path}_{factor.lower()}"
        for factor in "AB"
        for path in _PATHS
    },
    **{
        f"{theirs}.{part}": f"promptformer.{ours}.{part}"
        for theirs, ours in (
            (f"{_ATTENTION}fn.out_proj", "attention.output"),
            (f"{_ATTENTION}norm", "attention.norm"),
            (f"{_ATTENTION}norm_context", "attention.norm_context"),
            (f"{_FEED_FORWARD}0", "feed_forward.norm"),
            (f"{_FEED_FORWARD}1", "feed_forward.expand"),
            (f"{_FEED_FORWARD}3", "feed_forward.contract"),
            ("linear", "bank"),
        )
        for part in _PARTS
    },
}
_SIX = len(_PATHS) * 2
#: In the official order: LoRA, then torch's attention with its projections first.
_KEYS = (*list(_SAME)[:_SIX], *(f"{_FUSED}{part}" for part in _PARTS), *list(_SAME)[_SIX:])
#: Shapes in multiples of d, except of those that are [d], LoRA's or the bank projection's.
_BY_MULTIPLES = {
    f"{_FUSED}weight": (3, 1),
    f"{_FUSED}bias": (3,),
    f"{_ATTENTION}fn.out_proj.weight": (1, 1),
    f"{_FEED_FORWARD}1.weight": (8, 1),
    f"{_FEED_FORWARD}1.bias": (8,),
    f"{_FEED_FORWARD}3.weight": (1, 4),
}
_FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}

# The official code supports only ViT-B/16; this is the embedding size that goes with its width.
_OFFICIAL_WIDTH, _OFFICIAL_EMBED_DIM = 768, 512


@dataclass(frozen=True)
class OfficialCheckpoint:
    """The content of an official file.

    Parameters
    ----------
    state : mapping of str to Tensor
        The 22 tensors by their official names, in the file's number formats.
    epoch : int or None
        Round after which it was saved.
    """

    state: Mapping[str, Tensor]
    epoch: int | None = None

    @property
    def dtypes(self) -> dict[str, str]:
        """Number format of each tensor, e.g. ``"float16"``."""
        return {key: str(value.dtype).removeprefix("torch.") for key, value in self.state.items()}


def read_official(path: Path) -> OfficialCheckpoint:
    """Read an official checkpoint or a bare state dict; nothing in it is executed.

    Raises
    ------
    CheckpointError
        When it cannot be read as tensors, or keys are missing, unexpected or of another shape.
    """
    try:
        content = read_torch(path)
    except FileNotFoundError:
        raise CheckpointError("file is missing", where=path, hint="correct the path") from None
    except Exception as error:  # parsers of untrusted bytes raise many kinds
        if names := foreign_objects(path, error):
            raise CheckpointError(
                "contains more than tensors", where=path, value=names, hint=save_alone(path)
            ) from None
        raise CheckpointError(
            f"not a checkpoint of plain tensors ({type(error).__name__})",
            where=path,
            hint="give the official code's model.pth.tar-<round>, or a state dict of its "
            "prompt_learner saved with torch.save",
        ) from None
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict):
        raise CheckpointError(
            "contains no state dict",
            where=path,
            value=type(state).__name__,
            hint="give the official code's model.pth.tar-<round>",
        )
    epoch = content.get("epoch")
    checked = _checked({str(key): value for key, value in state.items()}, path)
    return OfficialCheckpoint(checked, epoch if isinstance(epoch, int) else None)


def write_official(path: Path, checkpoint: OfficialCheckpoint) -> None:
    """Write a file that the official code can load."""
    content = {
        "state_dict": dict(checkpoint.state),
        "epoch": checkpoint.epoch,
        "optimizer": None,
        "scheduler": None,
        "val_result": None,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_output(path, buffer.getvalue())


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our fp32 tensors by our names."""
    tensors = {ours: state[theirs].float().contiguous() for theirs, ours in _SAME.items()}
    for part in _PARTS:
        # Rows of torch's fused projection: query, key, value.
        for path, rows in zip(_PATHS, state[f"{_FUSED}{part}"].chunk(3), strict=True):
            tensors[f"promptformer.attention.{path}_{part}"] = rows.float().contiguous()
    return dict(sorted(tensors.items()))


def to_official(
    tensors: Mapping[str, Tensor],
    where: Path,
    *,
    dtypes: Mapping[str, str] | None = None,
) -> dict[str, Tensor]:
    """Return the official state of our tensors.

    Parameters
    ----------
    where : Path
        Named in error messages.
    dtypes : mapping of official key to str, optional
        Number format of each tensor, e.g. ``"float16"``; fp32 where not given.

    Raises
    ------
    CheckpointError
        When the tensors are not those of the official architecture (ablations, other methods).
    """
    fused = {
        f"{_FUSED}{part}": [f"promptformer.attention.{path}_{part}" for path in _PATHS]
        for part in _PARTS
    }
    wanted = {*_SAME.values(), *(name for names in fused.values() for name in names)}
    _require_same(wanted, set(tensors), where, "give tensors of method fedmvp, multimodal")
    state = {theirs: tensors[ours] for theirs, ours in _SAME.items()}
    state |= {
        theirs: torch.cat([tensors[name] for name in names]) for theirs, names in fused.items()
    }
    formats = dtypes or {}
    return {
        key: state[key].to(_FLOATS.get(formats.get(key, ""), torch.float32)).contiguous()
        for key in _KEYS
    }


def _require_same(wanted: set[str], found: set[str], where: Path, hint: str) -> None:
    for kind, keys in (("missing", wanted - found), ("extra", found - wanted)):
        if keys:
            names = ", ".join(sorted(keys)[:4]) + (", …" if len(keys) > 4 else "")
            raise CheckpointError(f"{len(keys)} {kind} key(s): {names}", where=where, hint=hint)


def _checked(state: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the state with its keys in our order, complete and of matching shapes."""
    if all(key.startswith("module.") for key in state):
        # The prefix that torch's DataParallel adds.
        state = {key.removeprefix("module."): value for key, value in state.items()}
    hint = "give the file of an official FedMVP prompt_learner"
    _require_same(set(_KEYS), set(state), path, hint)
    for key in _KEYS:
        value = state[key]
        if not isinstance(value, Tensor) or value.dtype not in _FLOATS.values():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise CheckpointError(
                f"{key} is not an fp16, bf16 or fp32 tensor", where=path, value=str(kind), hint=hint
            )
    for key, shape in _shapes(state).items():
        found = tuple(state[key].shape)
        if found != shape:
            raise CheckpointError(
                f"{key} has shape {found} instead of {shape}", where=path, hint=hint
            )
    return {key: state[key] for key in _KEYS}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape each tensor should have, given the sizes that most of them have."""
    downs, ups = [f"{_LORA}{path}A" for path in _PATHS], [f"{_LORA}{path}B" for path in _PATHS]
    others = (*downs, "linear.weight", *_BY_MULTIPLES)
    width = _majority(state[key].shape[-1:] for key in _KEYS if key not in others)
    rank = _majority(
        [*(state[key].shape[1:2] for key in downs), *(state[key].shape[:1] for key in ups)]
    )
    shapes: dict[str, tuple[int, ...]] = {key: (width,) for key in _KEYS}
    shapes |= {key: (width, rank) for key in downs} | {key: (rank, width) for key in ups}
    shapes |= {key: tuple(n * width for n in sizes) for key, sizes in _BY_MULTIPLES.items()}
    official = width == _OFFICIAL_WIDTH
    embed_dim = _OFFICIAL_EMBED_DIM if official else _majority([state["linear.weight"].shape[1:2]])
    return shapes | {"linear.weight": (width, embed_dim)}


def _majority(sizes: Iterable[torch.Size]) -> int:
    """Return the most frequent size; 0 if no tensor has that axis."""
    votes = Counter(size[0] for size in sizes if len(size) == 1)
    return votes.most_common(1)[0][0] if votes else 0
