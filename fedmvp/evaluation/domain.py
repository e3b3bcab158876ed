"""Whether images are of the kind a backbone was made for, as its model card says.

PictoCLIP was trained on drawings on plain backgrounds, where a third of all patches have a single
tone; in a photograph hardly any patch has. This is measured on the pixels, without the backbone and
without torch, so that a report can do it, too.

Shapes: N images of S x S pixels, P pixels a side of a patch.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedmvp.clip.packaged import packaged_file
from fedmvp.errors import BackboneError
from fedmvp.files import parse_json

__all__ = [
    "DOMAIN_FILE",
    "PHOTOGRAPH_BACKBONE",
    "Domain",
    "domain_of",
    "foreign_to",
    "plain_shares",
]

DOMAIN_FILE = "domain.json"
PHOTOGRAPH_BACKBONE = ("ViT-B-16-quickgelu", "openai")
"""Name and open_clip tag of a CLIP trained on photographs, the one used in the paper."""

_ONE_TONE = 1.0
"""Standard deviation, in levels of 0 to 255, below which a patch counts as plain."""
_HARDLY = 0.1
"""An image with less than this part of the drawings' share of plain patches counts as a photograph.
1 in 20 single emoji drawings is below it, and 19 in 20 photographs (docs/probe.md)."""


class Domain(BaseModel):
    """Content of the file: the kind of images a packaged backbone was made for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str
    images: str = Field(min_length=1, description="Which images, in words for the user.")
    image_size: int = Field(ge=1, le=4096, description="S.")
    patch_size: int = Field(ge=1, le=4096, description="P.")
    plain_patches: float = Field(gt=0, le=1, description="Their share in such images.")


class _Backbone(Protocol):
    """A backbone's description or its section of params.yaml."""

    @property
    def name(self) -> str: ...
    @property
    def pretrained(self) -> str | None: ...


def domain_of(backbone: _Backbone, *, weights: str | None = None) -> Domain | None:
    """Return what is recorded for a packaged backbone; None for any other.

    Parameters
    ----------
    backbone : BackboneSpec or BackboneParams
    weights : str, optional
        A local file, of which it is unknown what it was trained on.

    Raises
    ------
    BackboneError
        When the packaged file is damaged.
    """
    file = packaged_file(backbone.name, DOMAIN_FILE)
    if file is None or weights is not None or backbone.pretrained == "local":
        return None
    try:
        return Domain.model_validate(parse_json(file.read_text(encoding="utf-8")))
    except (ValueError, ValidationError):
        raise BackboneError(
            "not a backbone's domain",
            where=file,
            hint="restore it with `git checkout -- fedmvp/clip/weights`",
        ) from None


def plain_shares(images: NDArray[np.uint8], patch_size: int) -> NDArray[np.float64]:
    """Return for each image the share of its patches that are plain, [N].

    Parameters
    ----------
    images : ndarray of uint8, shape [N, S, S, 3]
    patch_size : int
        P; rows and columns beyond the last whole patch are left out.
    """
    side = images.shape[1] // patch_size
    whole = images[:, : side * patch_size, : side * patch_size].astype(np.float32).mean(axis=3)
    patches = whole.reshape(len(images), side, patch_size, side, patch_size)
    return np.asarray((patches.std(axis=(2, 4)) < _ONE_TONE).mean(axis=(1, 2)), dtype=np.float64)


def foreign_to(images: NDArray[np.uint8], domain: Domain) -> str | None:
    """Return a warning if most images are not of the domain, in one sentence with a remedy.

    Parameters
    ----------
    images : ndarray of uint8, shape [N, S, S, 3]
        Without a site's camera; N at least 1.
    """
    foreign = plain_shares(images, domain.patch_size) < _HARDLY * domain.plain_patches
    count = int(foreign.sum())
    if 2 * count <= len(images):
        return None
    name, tag = PHOTOGRAPH_BACKBONE
    which = "the image looks like a photograph"
    if len(images) > 1:
        which = f"{count} of {len(images)} images look like photographs"
    return (
        f"{which}, and {domain.backbone} knows {domain.images} alone: its "
        f"answers mean little here. Use a backbone trained on photographs, e.g. backbone.name "
        f"{name} with backbone.pretrained {tag}"
    )
