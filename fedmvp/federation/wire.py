"""Messages between a server and its sites, as bytes: a safetensors blob with fields in its header.

An engine carries the bytes and says who sent them; it never sees a tensor. What comes in is not
trusted: its length is checked before anything else, then names, shapes and number formats in the
header, and only then is a tensor created.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save
from torch import Tensor

from fedmvp.errors import MessageError, one_line
from fedmvp.federation.messages import UNKNOWN_ROUND, Message
from fedmvp.files import parse_json
from fedmvp.tensor_files import parse_header, parse_tensors

__all__ = [
    "Shapes",
    "decode",
    "encode",
    "job_limit",
    "reply_limit",
    "round_of",
    "shapes_of",
]

Shapes = Mapping[str, tuple[int, ...]]
"""Name of each tensor of the method → its shape."""

_HEAD = "fedmvp"
_VERSION = 1
_HEAD_BYTES = 1 << 20  # enough for any method's header and fields
_HINT = "let server and sites run the same version of fedmvp"

_Any = TypeVar("_Any", bound=Message)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor, in order."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def reply_limit(shapes: Shapes) -> int:
    """Return the largest permitted size of a site's reply, in bytes."""
    return _HEAD_BYTES + 4 * sum(math.prod(shape) for shape in shapes.values())


def job_limit(shapes: Shapes) -> int:
    """Return the largest permitted size of a job, in bytes: a global and an extra copy of all."""
    return 2 * reply_limit(shapes)


def encode(message: Message) -> bytes:
    """Return a message's bytes; equal messages give equal bytes.

    Raises
    ------
    ValueError
        When a number is not finite, which JSON does not have.
    """
    fields = {
        field.name: getattr(message, field.name)
        for field in dataclasses.fields(cast(Any, message))
        if field.name not in message.GROUPS
    }
    tensors = {
        # Copies, because two names may share one tensor, which the format does not allow.
        f"{group}/{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for group in message.GROUPS
        for name, tensor in getattr(message, group).items()
    }
    head = {"format": _VERSION, "kind": message.KIND, "fields": fields}
    # Under one key: the library writes several keys in no fixed order.
    text = json.dumps(head, sort_keys=True, allow_nan=False)
    content: bytes = save(tensors, metadata={_HEAD: text})
    return content


def decode(
    content: bytes, kinds: tuple[type[_Any], ...], shapes: Shapes, *, limit: int, where: str
) -> _Any:
    """Return the message that `content` is, on the CPU, its tensors in the order of `shapes`.

    Parameters
    ----------
    kinds : tuple of message types
        The kinds that are expected here.
    shapes : mapping of str to tuple of int
        All tensors that are permitted; a message need not contain each of them.
    limit : int
        Largest permitted size in bytes: `job_limit` or `reply_limit`.
    where : str
        Named in error messages, e.g. ``"reply of site a"``.

    Raises
    ------
    MessageError
        When it is none of these messages; the reason in one line.
    """
    if len(content) > limit:
        raise MessageError(
            f"has {len(content):,} bytes, more than any such message",
            where=where,
            value=limit,
            hint=_HINT,
        )
    try:
        header = parse_header(content)
        kind, fields = _head(header.pop("__metadata__", None), kinds)
        _check_tensors(header, kind, shapes)
        tensors = parse_tensors(content)
        for name, tensor in tensors.items():
            if not bool(tensor.isfinite().all()):
                raise ValueError(f"tensor {name} has values that are not finite")
        groups = {group: _group(tensors, group, shapes) for group in kind.GROUPS}
        message: _Any = TypeAdapter(kind).validate_python({**fields, **groups})
        return message
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"field {key}: {first['msg']}"
        raise MessageError(f"cannot be read ({what})", where=where, hint=_HINT) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise MessageError(f"cannot be read ({error})", where=where, hint=_HINT) from None


def round_of(content: bytes) -> int:
    """Return the round a message names; `UNKNOWN_ROUND` where that cannot be read."""
    try:
        head = parse_json(parse_header(content)["__metadata__"][_HEAD])
        return int(head["fields"]["round_index"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return UNKNOWN_ROUND


def _head(metadata: Any, kinds: tuple[type[_Any], ...]) -> tuple[type[_Any], dict[str, Any]]:
    """Return the kind of the message, and its fields."""
    head = parse_json(metadata[_HEAD]) if isinstance(metadata, dict) and _HEAD in metadata else {}
    if not isinstance(head, dict) or head.get("format") != _VERSION:
        raise ValueError("it is not in this version's format")
    name, fields = head.get("kind"), head.get("fields")
    kind = next((each for each in kinds if name == each.KIND), None)
    if kind is None or not isinstance(fields, dict):
        raise ValueError(f"{one_line(repr(name), 40)} is not what was asked for")
    return kind, fields


def _check_tensors(header: Mapping[str, Any], kind: type[Message], shapes: Shapes) -> None:
    for key, entry in header.items():
        group, _, name = key.partition("/")
        if group not in kind.GROUPS or name not in shapes:
            raise ValueError(f"tensor {key!r} is not one of the method's")
        if entry.get("dtype") != "F32":
            raise ValueError(f"tensor {name} is of format {entry.get('dtype')!r}, not float32")
        shape = tuple(entry.get("shape", ()))
        if shape != shapes[name]:
            raise ValueError(f"tensor {name} has shape {shape}, expected {shapes[name]}")


def _group(tensors: Mapping[str, Tensor], group: str, shapes: Shapes) -> dict[str, Tensor]:
    """Return one group's tensors, in the method's order, which sums over them need."""
    return {name: tensors[f"{group}/{name}"] for name in shapes if f"{group}/{name}" in tensors}
