"""Messages between a server and its sites, as bytes: a safetensors blob with fields in its header.

An engine carries the bytes and says who sent them; it never sees a tensor. What comes in is data of
a stranger: its length is looked at before anything else, then names, shapes and number formats in
the header, and only then is a tensor made.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from safetensors.torch import save
from torch import Tensor

from fedmvp.errors import MessageError, one_line
from fedmvp.files import parse_json
from fedmvp.tensor_files import parse_header, parse_tensors

__all__ = [
    "METRICS",
    "UNKNOWN_ROUND",
    "DescribeJob",
    "Description",
    "EvaluateJob",
    "EvaluateReply",
    "Metric",
    "Refusal",
    "Shapes",
    "TrainJob",
    "TrainReply",
    "decode",
    "encode",
    "job_limit",
    "reply_limit",
    "shapes_of",
]

Shapes = Mapping[str, tuple[int, ...]]
"""Name of each tensor of the method → its shape."""

Metric = Literal["loss", "loss_ce", "loss_con", "accuracy"]
"""What may be said of a client's training: a column of rounds.csv."""

METRICS: tuple[Metric, ...] = get_args(Metric)

UNKNOWN_ROUND = -1
"""Of a failure to read the job itself."""

_HEAD = "fedmvp"
_VERSION = 1
_HEAD_BYTES = 1 << 20  # a header, and fields, of any method
_HINT = "let server and sites run the same version of fedmvp"

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=4000)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Message:
    """Fields that travel as JSON, and groups of tensors."""

    KIND: ClassVar[str]
    GROUPS: ClassVar[tuple[str, ...]] = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid"
    )


@dataclasses.dataclass(frozen=True)
class DescribeJob(_Message):
    """Asks a site what it would train with."""

    KIND: ClassVar[str] = "describe"
    run: Name
    client: Name
    round_index: Count


@dataclasses.dataclass(frozen=True)
class TrainJob(_Message):
    """One client's part of a round.

    Parameters
    ----------
    run : str
        Name of the federation, under which the site keeps its states.
    since : int
        The client goes on from the state it had before this round (`Backend.run`).
    tensors, extra : mapping of str to Tensor
        The global tensors, and what this client alone is sent.
    """

    KIND: ClassVar[str] = "train"
    GROUPS: ClassVar[tuple[str, ...]] = ("tensors", "extra")
    run: Name
    client: Name
    round_index: Count
    since: Count
    learning_rate: Number
    tensors: Mapping[str, Tensor]
    extra: Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True)
class EvaluateJob(_Message):
    """Asks for counts on the site's held-out images, with the state it had before `since`."""

    KIND: ClassVar[str] = "evaluate"
    GROUPS: ClassVar[tuple[str, ...]] = ("tensors",)
    run: Name
    client: Name
    round_index: Count
    since: Count
    tensors: Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Description(_Message):
    """What a site would train with: `fedmvp.federation.plan.describe`."""

    KIND: ClassVar[str] = "description"
    client: Name
    round_index: Count
    fields: dict[Word, Name]


@dataclasses.dataclass(frozen=True)
class TrainReply(_Message):
    """A client's update, and of its metrics those that the site lets out."""

    KIND: ClassVar[str] = "update"
    GROUPS: ClassVar[tuple[str, ...]] = ("tensors",)
    client: Name
    round_index: Count
    images: Annotated[int, Field(strict=True, ge=1, le=2**53)]
    phase: Word
    metrics: dict[Metric, Number]
    bytes_down: Count
    tensors: Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True)
class EvaluateReply(_Message):
    """Counts by group of images: group → what is counted → a number per threshold.

    One label per image has one number each of ``right`` and ``total``.

    Parameters
    ----------
    withheld : list of str
        Groups the site keeps to itself.
    """

    KIND: ClassVar[str] = "counts"
    client: Name
    round_index: Count
    groups: dict[Word, dict[Word, Annotated[list[Count], Field(min_length=1, max_length=1000)]]]
    withheld: list[Word]


@dataclasses.dataclass(frozen=True)
class Refusal(_Message):
    """A site's failure, without a word of its own: see `fedmvp.federation.site_errors`."""

    KIND: ClassVar[str] = "failure"
    client: Name
    round_index: Annotated[int, Field(strict=True, ge=UNKNOWN_ROUND, le=2**53)]
    error: Text
    trace: Text


_Any = TypeVar("_Any", bound=_Message)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor, in order."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def reply_limit(shapes: Shapes) -> int:
    """Return the most bytes a site's reply may have."""
    return _HEAD_BYTES + 4 * sum(math.prod(shape) for shape in shapes.values())


def job_limit(shapes: Shapes) -> int:
    """Return the most bytes a job may have: each tensor once for all, and once for the client."""
    return 2 * reply_limit(shapes)


def encode(message: _Message) -> bytes:
    """Return a message's bytes; the same for the same message.

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
        # Copies, for two names may be given one tensor, which the format does not take.
        f"{group}/{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for group in message.GROUPS
        for name, tensor in getattr(message, group).items()
    }
    head = {"format": _VERSION, "kind": message.KIND, "fields": fields}
    # Under one key: the library writes several in any order.
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
        Those that are expected here.
    shapes : mapping of str to tuple of int
        All tensors there may be; a message need not have each.
    limit : int
        Most bytes; `job_limit`, `reply_limit`.
    where : str
        For messages, e.g. ``"reply of site a"``.

    Raises
    ------
    MessageError
        When it is none of these messages; what is wrong with it, in one line.
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


def _head(metadata: Any, kinds: tuple[type[_Any], ...]) -> tuple[type[_Any], dict[str, Any]]:
    """Return which message this is, and its fields."""
    head = parse_json(metadata[_HEAD]) if isinstance(metadata, dict) and _HEAD in metadata else {}
    if not isinstance(head, dict) or head.get("format") != _VERSION:
        raise ValueError("it is not of this version's format")
    name, fields = head.get("kind"), head.get("fields")
    kind = next((each for each in kinds if name == each.KIND), None)
    if kind is None or not isinstance(fields, dict):
        raise ValueError(f"{one_line(repr(name), 40)} is not what was asked for")
    return kind, fields


def _check_tensors(header: Mapping[str, Any], kind: type[_Message], shapes: Shapes) -> None:
    for key, entry in header.items():
        group, _, name = key.partition("/")
        if group not in kind.GROUPS or name not in shapes:
            raise ValueError(f"tensor {key!r} is none of the method's")
        if entry.get("dtype") != "F32":
            raise ValueError(f"tensor {name} is of format {entry.get('dtype')!r}, not float32")
        shape = tuple(entry.get("shape", ()))
        if shape != shapes[name]:
            raise ValueError(f"tensor {name} has shape {shape}, expected {shapes[name]}")


def _group(tensors: Mapping[str, Tensor], group: str, shapes: Shapes) -> dict[str, Tensor]:
    """Return one group's tensors; sums over them want the method's order."""
    return {name: tensors[f"{group}/{name}"] for name in shapes if f"{group}/{name}" in tensors}
