"""What a trained method is beside its tensors: ``model.json`` of a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.clip.spec import BackboneSpec
from fedmvp.config import Section
from fedmvp.errors import BackboneError
from fedmvp.files import read_json
from fedmvp.paths import BACKBONE
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone, stage_spec
from fedmvp.prediction.candidates import Candidates

__all__ = ["BACKBONE_VARIABLE", "Bundle", "NamedBackbone", "find_backbone"]

BACKBONE_VARIABLE = "FEDMVP_BACKBONE"
"""Environment variable with the backbone's local weights, where its name does not bring them."""


class NamedBackbone(Section):
    """The frozen backbone a model was trained on."""

    name: str
    pretrained: str | None
    precision: str
    linear: str = "matmul"
    tower_sha256: str

    @classmethod
    def of(cls, backbone: Backbone) -> NamedBackbone:
        """Return the name of a backbone that is loaded."""
        spec = backbone.spec
        return cls(
            name=spec.name,
            pretrained=spec.pretrained,
            precision=backbone.precision,
            linear=backbone.linear_name,
            tower_sha256=spec.tower_sha256,
        )


class Bundle(Section):
    """What ``model.json`` holds."""

    method: str
    section: dict[str, Any] = Field(description="The method's section, resolved.")
    seed: int
    backbone: NamedBackbone
    default: str | None = Field(description="Dataset whose classes are used if none is asked for.")
    candidates: dict[str, Candidates] = Field(description="By dataset.")


def find_backbone(
    named: NamedBackbone, device: torch.device | str, *, beside: Path | None = None
) -> Backbone:
    """Return the backbone a bundle names, if it is the same to the last bit.

    Parameters
    ----------
    beside : Path, optional
        Folder of the backbone's files inside the bundle; where there is none, or nothing in it,
        the pipeline's is taken, or the one of its name.

    Raises
    ------
    BackboneError
        When it cannot be found, or its hash differs.
    """
    spec = stage_spec()
    if beside is not None and (beside / "spec.json").is_file():
        folder = beside
    elif spec is not None and spec.tower_sha256 == named.tower_sha256:
        folder = BACKBONE
    else:
        local = os.environ.get(BACKBONE_VARIABLE)
        folder = prepare_backbone(
            BackboneChoice(named.name, Path(local) if local else None, named.pretrained)
        )
    found = BackboneSpec.model_validate(read_json(folder / "spec.json"))
    if found.tower_sha256 != named.tower_sha256:
        raise BackboneError(
            "not the backbone this model was trained on: its hash differs",
            where=folder,
            value=found.tower_sha256,
            hint=f"name the right weights of {named.name} in {BACKBONE_VARIABLE}",
        )
    return load_backbone(folder, precision=named.precision, linear=named.linear, device=device)
