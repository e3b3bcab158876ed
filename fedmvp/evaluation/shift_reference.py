"""The reference with which images are compared: statistics recorded beside a backbone's weights.

`python -m benchmarks.patch_statistics` writes them. They are valid for one set of weights, so the
file contains the weights' hash; other weights and backbones have none.

Shapes: d token width.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedmvp.clip.packaged import packaged_file
from fedmvp.clip.spec import BackboneSpec
from fedmvp.errors import BackboneError
from fedmvp.evaluation.shift import ImageStatistics, Moments
from fedmvp.files import read_json

__all__ = ["REFERENCE_FILE", "Recorded", "Reference", "load_reference", "recorded"]

REFERENCE_FILE = "patch_statistics.json"
"""File in a packaged backbone's folder, fedmvp/clip/weights/<name>."""

_DIGITS = 6
"""Recorded significant digits; further ones would depend on the processor."""

_CONSTANTS = (
    "the constants this backbone normalises pixels with (of OpenAI's models: mean and standard "
    "deviation of their training images)"
)

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Recorded(BaseModel):
    """Content of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str
    tower_sha256: str = Field(description="Hash of the weights, as in the spec.")
    source: str = Field(description="Which images these are, in words for the user.")
    images: int = Field(ge=1)
    patch_mean: tuple[_Finite, ...] = Field(min_length=1, description="d numbers.")
    patch_std: tuple[_Positive, ...]
    pixel_mean: tuple[_Finite, _Finite, _Finite] = Field(description="RGB, 0 to 255.")
    pixel_std: tuple[_Positive, _Positive, _Positive]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.patch_mean) != len(self.patch_std):
            raise ValueError("not as many means as standard deviations")
        return self


@dataclass(frozen=True)
class Reference:
    """The statistics with which images are compared.

    Parameters
    ----------
    patches : Moments of d dimensions or None
        None where nothing is recorded for these weights.
    pixels : Moments of 3 dimensions
        Red, green and blue, 0 to 255.
    source : str
        Origin of the statistics, in words.
    """

    patches: Moments | None
    pixels: Moments
    source: str


def load_reference(spec: BackboneSpec) -> Reference:
    """Return the reference of a backbone.

    Without recorded statistics for this name and exactly these weights, it consists of the
    constants with which the backbone normalises pixels, and has no patch statistics.

    Raises
    ------
    BackboneError
        When the packaged file is damaged.
    """
    found = _packaged(spec.name)
    if found is not None and found.tower_sha256 == spec.tower_sha256:
        patches = Moments(np.array(found.patch_mean), np.array(found.patch_std))
        pixels = Moments(np.array(found.pixel_mean), np.array(found.pixel_std))
        return Reference(patches, pixels, found.source)
    constants = Moments(255 * np.array(spec.mean), 255 * np.array(spec.std))
    return Reference(None, constants, _CONSTANTS)


def recorded(spec: BackboneSpec, found: ImageStatistics, source: str) -> Recorded:
    """Return the statistics of some images in the recorded form, rounded."""
    numbers = {
        f"{kind}_{name}": [float(f"{value:.{_DIGITS}g}") for value in getattr(moments, name)]
        for kind, moments in (("patch", found.patches), ("pixel", found.pixels))
        for name in ("mean", "std")
    }
    return Recorded.model_validate(
        {
            "backbone": spec.name,
            "tower_sha256": spec.tower_sha256,
            "source": source,
            "images": found.images,
            **numbers,
        }
    )


def _packaged(name: str) -> Recorded | None:
    """Return what the package has recorded for a backbone of this name, or None."""
    file = packaged_file(name, REFERENCE_FILE)
    if file is None:
        return None
    with resources.as_file(file) as path:
        try:
            return Recorded.model_validate(read_json(Path(path)))
        except ValidationError as error:
            raise BackboneError(
                f"not a backbone's patch statistics ({error.error_count()} faults)",
                where=path,
                hint="restore it with `git checkout -- fedmvp/clip/weights`",
            ) from None
