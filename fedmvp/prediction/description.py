"""The description of a trained method, besides its tensors: ``model.json`` of a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.clip.spec import BackboneSpec
from fedmvp.config import Section
from fedmvp.errors import BackboneError
from fedmvp.files import read_json
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.paths import BACKBONE
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone, stage_spec
from fedmvp.prediction.candidates import Candidates

__all__ = ["BACKBONE_VARIABLE", "Bundle", "NamedBackbone", "backbone_folder", "find_backbone"]

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
    multilabel: MultiLabelParams | None = Field(
        default=None, description="The head, where images show many classes."
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Probability above which a class is predicted, where images show many.",
    )


def find_backbone(
    named: NamedBackbone, device: torch.device | str, *, beside: Path | None = None
) -> Backbone:
    """Return the backbone a bundle names, if it is the same to the last bit.

    Parameters
    ----------
    beside : Path, optional
        See `backbone_folder`.

    Raises
    ------
    BackboneError
        When it cannot be found, or its hash differs.
    """
    folder = backbone_folder(named, beside=beside)
    return load_backbone(folder, precision=named.precision, linear=named.linear, device=device)


def backbone_folder(named: NamedBackbone, *, beside: Path | None = None) -> Path:
    """Return where the files of the backbone a bundle names are.

    Parameters
    ----------
    beside : Path, optional
        Their folder inside the bundle; where nothing is in it, the pipeline's backbone is taken,
        or the one of that name.

    Raises
    ------
    BackboneError
        As `find_backbone`.
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
    path = folder / "spec.json"
    try:
        found = BackboneSpec.model_validate(read_json(path))
    except ValidationError as error:
        raise BackboneError(
            f"not a backbone's description ({error.error_count()} faults)",
            where=path,
            hint="get the folder again",
        ) from None
    if found.tower_sha256 != named.tower_sha256:
        raise BackboneError(
            "not the backbone this model was trained on: its hash differs",
            where=folder,
            value=found.tower_sha256,
            hint=f"name the right weights of {named.name} in {BACKBONE_VARIABLE}",
        )
    return folder
