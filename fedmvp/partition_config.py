"""The section of params.yaml that says how clients are made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from fedmvp.sections import Float, Section

__all__ = ["AnnotationParams", "PartitionParams", "SchemeValue"]


def _named(value: object) -> object:
    """Report in one message which forms a scheme may have."""
    if not isinstance(value, str | dict):
        raise ValueError("give a scheme's name, or {name: …} with its entries")
    return value


SchemeValue = Annotated[str | dict[str, Any], BeforeValidator(_named)]


class AnnotationParams(Section):
    """What of the training labels the clients have, where images show many classes."""

    known: Float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Probability that a pair is known; others are left out.",
    )
    missing: Float | None = Field(
        default=None, ge=0, lt=1, description="Share of positives that are taken for negatives."
    )
    test: bool = Field(
        default=False,
        description="Whether it is done to test labels, too, as FedMPT's code does: such numbers "
        "are not of what images show.",
    )

    @model_validator(mode="after")
    def _one(self) -> AnnotationParams:
        if (self.known is None) == (self.missing is None):
            raise ValueError("give either known or missing")
        return self


class PartitionParams(Section):
    """How clients are made (docs/method.md#clients)."""

    classes_per_client: int = Field(ge=1, description="Classes of a client, n of the class blocks.")
    shots: int | None = Field(
        ge=1, description="Training images per class, drawn before they are dealt; null: all."
    )
    seed: int = Field(ge=0, description="Seed of the few-shot sample and of the dealing.")
    scheme: SchemeValue = Field(
        default="class_blocks",
        description="The rule that deals images to clients: its name, or `{name: …}` with its "
        "entries; a setting may have its own ([partition schemes](../partition_schemes.md)).",
    )
    candidates: Literal["own", "all"] = Field(
        default="own",
        description="Classes a client trains among: those it has images of, or all that its "
        "dataset trains on.",
    )
    validation: Float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of a client's images it keeps to choose a threshold (many labels).",
    )
    annotations: AnnotationParams | None = Field(
        default=None, description="`{known: q}` or `{missing: p}`; null: all labels (many labels)."
    )
