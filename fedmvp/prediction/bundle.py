"""A trained method as a folder that can be carried elsewhere and served; MLflow wraps it.

``model.json`` names method, flags, backbone and candidates; ``weights.safetensors`` holds the
learned tensors. The frozen backbone stays outside: it is found by name and checked by its hash.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.clip.spec import BackboneSpec
from fedmvp.config import Section
from fedmvp.errors import BackboneError, CheckpointError, ConfigError
from fedmvp.files import read_json, write_json
from fedmvp.methods.build import method_params
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.paths import BACKBONE
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone, stage_spec
from fedmvp.prediction.candidates import Candidates, choose_candidates
from fedmvp.prediction.images import decode_values
from fedmvp.prediction.limits import Budget
from fedmvp.prediction.load import assemble, multilabel_of, run_datasets, section_of
from fedmvp.prediction.predictor import Predictor
from fedmvp.results.learned import read_learned, save_learned

__all__ = [
    "BACKBONE_VARIABLE",
    "Bundle",
    "ServedModel",
    "load_bundle",
    "open_model",
    "write_bundle",
]

BACKBONE_VARIABLE = "FEDMVP_BACKBONE"
"""Environment variable with the backbone's local weights, where its name does not bring them."""

_BATCH = 32  # images; time is looked at between batches
_DESCRIPTION, _WEIGHTS = "model.json", "weights.safetensors"


class NamedBackbone(Section):
    """The frozen backbone a bundle was trained on."""

    name: str
    pretrained: str | None
    precision: str
    linear: str = "matmul"
    tower_sha256: str


class Bundle(Section):
    """What ``model.json`` holds."""

    method: str
    section: dict[str, Any] = Field(description="The method's section, resolved.")
    seed: int
    backbone: NamedBackbone
    default: str = Field(description="Dataset whose classes are used if none is asked for.")
    candidates: dict[str, Candidates] = Field(description="By dataset.")
    multilabel: MultiLabelParams | None = Field(
        default=None, description="The head, where images show many classes."
    )


def write_bundle(
    folder: Path, result: Path, *, fold: str | None = None, default_dataset: str | None = None
) -> Bundle:
    """Write the bundle of a result of the pipeline, made with the backbone that stands there.

    Parameters
    ----------
    result : Path
        ``results/<setting>/<method>/seed<k>``.
    default_dataset : str, optional
        The run's first if not given.

    Raises
    ------
    CheckpointError
        When the folder holds no learned tensors or no run.json.
    BackboneError
        When the backbone stage has not run.
    """
    learned = read_learned(result, fold)
    spec = stage_spec()
    if learned.method is None or not learned.run:
        raise CheckpointError("result has no run.json", where=result, hint="run `dvc repro`")
    if spec is None:
        raise BackboneError("backbone is missing", where=BACKBONE, hint="run `dvc repro backbone`")
    names = run_datasets(learned.run)
    if default_dataset is not None and default_dataset not in names:
        raise ConfigError(
            "not a dataset of the run",
            where="--dataset",
            value=default_dataset,
            hint=f"use one of: {', '.join(names)}",
        )
    section = learned.run["params"].get("backbone", {})
    bundle = Bundle(
        method=learned.method,
        section=section_of(learned.method, learned).resolved(),
        seed=int(learned.run.get("seed", 0)),
        backbone=NamedBackbone(
            name=spec.name,
            pretrained=spec.pretrained,
            precision=section.get("precision", "fp32"),
            linear=section.get("linear", "matmul"),
            tower_sha256=spec.tower_sha256,
        ),
        default=default_dataset or names[0],
        candidates={name: choose_candidates(dataset=name) for name in names},
        multilabel=multilabel_of(learned),
    )
    # Order of classes is label order, so keys are not sorted.
    unused = {"multilabel"} if bundle.multilabel is None else set()
    description = bundle.model_dump(mode="json", exclude=unused)
    write_json(folder / _DESCRIPTION, description, sort_keys=False)
    save_learned(folder / _WEIGHTS, learned.tensors, {"method": learned.method})
    return bundle


def load_bundle(folder: Path, *, device: torch.device | str = "cpu") -> ServedModel:
    """Read a bundle and find its backbone.

    Raises
    ------
    CheckpointError
        When the folder holds no bundle.
    BackboneError
        When the backbone cannot be found, or is not the one the tensors were trained on.
    """
    path = folder / _DESCRIPTION
    try:
        bundle = Bundle.model_validate(read_json(path))
    except ValidationError as error:
        raise CheckpointError(
            f"not a model description ({error.error_count()} faults)",
            where=path,
            hint="log the model again",
        ) from None
    return ServedModel(bundle, read_learned(folder / _WEIGHTS).tensors, device)


def open_model(
    path: Path,
    *,
    fold: str | None = None,
    default_dataset: str | None = None,
    device: torch.device | str = "cpu",
) -> ServedModel:
    """Return the model of a bundle's folder or, with its options, of a result; see `write_bundle`.

    Raises
    ------
    FedMVPError
        As `load_bundle` and `write_bundle`; for an option that a bundle does not have.
    """
    if not (path / _DESCRIPTION).is_file():
        with tempfile.TemporaryDirectory(prefix="fedmvp-model-") as name:
            write_bundle(Path(name), path, fold=fold, default_dataset=default_dataset)
            return load_bundle(Path(name), device=device)
    for option, value in (("--fold", fold), ("--dataset", default_dataset)):
        if value is not None:
            raise ConfigError(
                "a logged model has its own",
                where=option,
                value=value,
                hint=f"drop {option}, or name a result's folder",
            )
    return load_bundle(path, device=device)


class ServedModel:
    """Classifies images given as base64 text, bytes or pixels.

    Parameters
    ----------
    bundle : Bundle
    tensors : mapping of str to Tensor
    device : torch.device or str
    """

    def __init__(
        self, bundle: Bundle, tensors: Mapping[str, torch.Tensor], device: torch.device | str
    ) -> None:
        self.bundle = bundle
        backbone = _find(bundle.backbone, device)
        section = method_params(bundle.method, bundle.section)
        self._method = assemble(
            bundle.method,
            backbone,
            section,
            tensors,
            seed=bundle.seed,
            where=_WEIGHTS,
            multilabel=bundle.multilabel,
        )
        self._predictors: dict[str, Predictor] = {}

    def prepare(self) -> None:
        """Encode the default's texts, so that the first request does not pay for them."""
        self.predict([np.zeros((8, 8, 3), dtype=np.uint8)])

    def predict(
        self, images: Sequence[Any], dataset: str | None = None, budget: Budget | None = None
    ) -> list[dict[str, Any]]:
        """Return class, probability and all probabilities of each image.

        Parameters
        ----------
        images : sequence
            Each a base64 text (or data URL) or the bytes of an image file, or pixels [H, W, 3] in
            0..255.
        dataset : str, optional
            Whose classes to choose among; the bundle's default if not given.
        budget : Budget, optional
            The request's limits.

        Raises
        ------
        DataError
            Naming the first image that is none.
        ConfigError
            For a dataset the bundle does not know.
        TooLarge, TooSlow
            When the request goes over its limits.
        """
        predictor = self._predictor(dataset or self.bundle.default)
        pixels = decode_values(images, predictor.image_size_px, budget)
        answers = []
        for start in range(0, len(pixels), _BATCH):
            if budget is not None:
                budget.require_time()
            answers += _answers(predictor, pixels[start : start + _BATCH])
        return answers

    def _predictor(self, dataset: str) -> Predictor:
        if dataset not in self.bundle.candidates:
            raise ConfigError(
                "unknown dataset",
                where="parameter dataset",
                value=dataset,
                hint=f"use one of: {', '.join(self.bundle.candidates)}",
            )
        if dataset not in self._predictors:
            self._predictors[dataset] = Predictor(self._method, self.bundle.candidates[dataset])
        return self._predictors[dataset]


def _answers(predictor: Predictor, pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    shares = predictor.probabilities(predictor.predict(pixels))
    return [
        {
            "class": predictor.class_names[int(row.argmax())],
            "probability": float(row.max()),
            "probabilities": dict(zip(predictor.class_names, map(float, row), strict=True)),
        }
        for row in shares
    ]


def _find(named: NamedBackbone, device: torch.device | str) -> Backbone:
    """Return the backbone a bundle names, if it is the same to the last bit."""
    spec = stage_spec()
    if spec is not None and spec.tower_sha256 == named.tower_sha256:
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
