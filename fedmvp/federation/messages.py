"""The messages between a server and its sites; `fedmvp.federation.wire` turns them into bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field
from torch import Tensor

__all__ = [
    "METRICS",
    "UNKNOWN_ROUND",
    "DescribeJob",
    "Description",
    "EvaluateJob",
    "EvaluateReply",
    "Message",
    "Metric",
    "Refusal",
    "StartJob",
    "StartReply",
    "TrainJob",
    "TrainReply",
]

Metric = Literal["loss", "loss_ce", "loss_con", "accuracy", "of1"]
"""Metrics of a client's training that may be sent; each is a column of rounds.csv."""

METRICS: tuple[Metric, ...] = get_args(Metric)

UNKNOWN_ROUND = -1
"""Round index of a failure to read the job itself."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=4000)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Message:
    """Fields that travel as JSON, and groups of tensors."""

    KIND: ClassVar[str]
    GROUPS: ClassVar[tuple[str, ...]] = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid"
    )


@dataclasses.dataclass(frozen=True)
class DescribeJob(Message):
    """Asks a site for its plan, software and weights, as hashes."""

    KIND: ClassVar[str] = "describe"
    run: Name
    client: Name
    round_index: Count


@dataclasses.dataclass(frozen=True)
class StartJob(Message):
    """Asks for the sums that a multi-label head starts from, before the first round."""

    KIND: ClassVar[str] = "start"
    run: Name
    client: Name
    round_index: Count


@dataclasses.dataclass(frozen=True)
class TrainJob(Message):
    """One client's part of a round.

    Parameters
    ----------
    run : str
        Name of the federation, under which the site keeps its states.
    since : int
        The client continues from the state it had before this round (`Backend.run`).
    tensors, extra : mapping of str to Tensor
        The global tensors, and what is sent to this client alone.
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
class EvaluateJob(Message):
    """Asks for counts on the site's held-out images, with the state it had before `since`."""

    KIND: ClassVar[str] = "evaluate"
    GROUPS: ClassVar[tuple[str, ...]] = ("tensors",)
    run: Name
    client: Name
    round_index: Count
    since: Count
    tensors: Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Description(Message):
    """A site's plan, software and weights, as hashes: `fedmvp.federation.plan.describe`."""

    KIND: ClassVar[str] = "description"
    client: Name
    round_index: Count
    fields: dict[Word, Name]


@dataclasses.dataclass(frozen=True)
class StartReply(Message):
    """A client's `fedmvp.federation.head_start.HeadSums`."""

    KIND: ClassVar[str] = "sums"
    client: Name
    round_index: Count
    similarity: Number
    compared: Annotated[int, Field(strict=True, ge=1, le=2**53)]
    positive: Count
    known: Count


@dataclasses.dataclass(frozen=True)
class TrainReply(Message):
    """A client's update, and those of its metrics that the site releases."""

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
class EvaluateReply(Message):
    """Counts by group of images: group → what is counted → a number per threshold.

    With one label per image, ``right`` and ``total`` have one number each. With many labels,
    ``true_positives``, ``false_positives`` and ``false_negatives`` have one number for each
    threshold, and ``total``, the number of images, has one.

    Parameters
    ----------
    withheld : list of str
        Groups whose counts the site does not release.
    """

    KIND: ClassVar[str] = "counts"
    client: Name
    round_index: Count
    groups: dict[Word, dict[Word, Annotated[list[Count], Field(min_length=1, max_length=1000)]]]
    withheld: list[Word]


@dataclasses.dataclass(frozen=True)
class Refusal(Message):
    """A site's failure, without any text of the site: see `fedmvp.federation.site_errors`."""

    KIND: ClassVar[str] = "failure"
    client: Name
    round_index: Annotated[int, Field(strict=True, ge=UNKNOWN_ROUND, le=2**53)]
    error: Text
    trace: Text
