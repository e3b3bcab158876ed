"""How a dataset's images are split, as its catalog entry says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedmvp.config import Section
from fedmvp.data.source_spec import DriveFile, HttpFile, RelativePath

__all__ = ["FractionsRule", "OfficialRule", "SplitFile", "SplitRule"]


class FractionsRule(Section):
    """Random split by fractions; what neither train nor val takes is test."""

    rule: Literal["fractions"]
    train: float = Field(gt=0, lt=1)
    val: float = Field(default=0.0, ge=0, lt=1)
    within: Literal["class", "class_and_domain"] = Field(
        default="class", description="The groups each of which is split by the fractions."
    )

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> FractionsRule:
        if self.train + self.val >= 1:
            raise ValueError("train + val must be below 1: the rest is the test part")
        return self


class OfficialRule(Section):
    """The parts the layout gives; a trainval part is cut at random in each class."""

    rule: Literal["official"]
    val: float = Field(default=0.0, ge=0, lt=1, description="Share of trainval that becomes val.")


SplitRule = Annotated[FractionsRule | OfficialRule, Field(discriminator="rule")]


class SplitFile(Section):
    """CoOp's split file: used where it is at hand instead of the rule (docs/datasets.md#splits)."""

    name: str = Field(pattern=r"^[\w.-]+\.json$")
    below: RelativePath = Field(
        default=".", description="Folder its paths begin at, below the layout's."
    )
    mirrors: tuple[HttpFile | DriveFile, ...] = Field(
        default=(), description="Where to fetch it, in order of preference."
    )
