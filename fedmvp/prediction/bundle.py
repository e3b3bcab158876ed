"""A trained method as a folder that can be carried elsewhere and served; MLflow wraps it.

``model.json`` names method, flags, backbone and candidates; ``weights.safetensors`` holds the
learned tensors. The frozen backbone is in ``backbone/`` if it was included, else it is found by
name; either way its hash is checked. Encoded texts may be included, too
(`fedmvp.prediction.texts`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from fedmvp.clip.spec import BackboneSpec
from fedmvp.errors import BackboneError, CheckpointError, ConfigError
from fedmvp.files import read_json, sha256_file, write_json
from fedmvp.methods.build import method_params
from fedmvp.paths import BACKBONE
from fedmvp.prediction.assembly import (
    assemble,
    multilabel_of,
    run_datasets,
    section_of,
    threshold_of,
)
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone, stage_spec
from fedmvp.prediction.candidates import choose_candidates
from fedmvp.prediction.description import Bundle, NamedBackbone, find_backbone
from fedmvp.prediction.model import Model
from fedmvp.prediction.texts import read_texts
from fedmvp.results.learned import read_learned, save_learned, weights_file

__all__ = [
    "BACKBONE_FOLDER",
    "is_bundle",
    "load_bundle",
    "open_model",
    "save_bundle",
    "write_bundle",
]

BACKBONE_FOLDER = "backbone"
"""Folder of the frozen CLIP in a bundle that includes it."""
_DESCRIPTION, _WEIGHTS = "model.json", "weights.safetensors"


def is_bundle(folder: Path) -> bool:
    """Tell whether a folder is a bundle."""
    return (folder / _DESCRIPTION).is_file()


def write_bundle(
    folder: Path, result: Path, *, fold: str | None = None, default_dataset: str | None = None
) -> Bundle:
    """Write the bundle of a result of the pipeline, made with the backbone that stands there.

    Parameters
    ----------
    result : Path
        ``results/<setting>/<method>/seed<k>``.
    default_dataset : str, optional
        By default the run's first. A federation of sites has none: its model is given classes.

    Raises
    ------
    CheckpointError
        When the folder holds no learned tensors or no run.json.
    BackboneError
        When the backbone stage has not run, or a federation was trained on another one.
    """
    learned = read_learned(result, fold)
    if learned.method is None or not learned.run:
        raise CheckpointError("result has no run.json", where=result, hint="run `dvc repro`")
    spec = _spec_of(learned.run)
    names = run_datasets(learned.run)
    if default_dataset is not None and default_dataset not in names:
        raise ConfigError(
            "not a dataset of the run",
            where="--dataset",
            value=default_dataset,
            hint=f"use one of: {', '.join(names)}"
            if names
            else "drop it: a federation of sites has no dataset",
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
        default=default_dataset or next(iter(names), None),
        candidates={name: choose_candidates(dataset=name) for name in names},
        multilabel=multilabel_of(learned.run),
        threshold=threshold_of(learned.run, weights_file(result), fold),
    )
    save_bundle(folder, bundle, learned.tensors)
    return bundle


def _spec_of(run: Mapping[str, Any]) -> BackboneSpec:
    """Return the spec of the pipeline's backbone; of a federation that of the one it names."""
    spec = stage_spec()
    if "engine" in run:
        section = run["params"]["backbone"]
        folder = prepare_backbone(BackboneChoice(section["name"], None, section["pretrained"]))
        path = folder / "spec.json"
        if sha256_file(path) != run["inputs"].get((BACKBONE / "spec.json").as_posix()):
            raise BackboneError(
                "is not the federation's CLIP model",
                where=folder,
                hint="run it where `dvc repro backbone` has built the federation's",
            )
        spec = BackboneSpec.model_validate(read_json(path))
    if spec is None:
        raise BackboneError("backbone is missing", where=BACKBONE, hint="run `dvc repro backbone`")
    return spec


def save_bundle(folder: Path, bundle: Bundle, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write description and learned tensors, by the method's parameter names."""
    # Order of classes is label order, so keys are not sorted.
    unused = {name for name in ("multilabel", "threshold") if getattr(bundle, name) is None}
    description = bundle.model_dump(mode="json", exclude=unused)
    write_json(folder / _DESCRIPTION, description, sort_keys=False)
    save_learned(folder / _WEIGHTS, tensors, {"method": bundle.method})


def load_bundle(folder: Path, *, device: torch.device | str = "cpu") -> Model:
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
    backbone = find_backbone(bundle.backbone, device, beside=folder / BACKBONE_FOLDER)
    read_texts(folder, backbone)
    method = assemble(
        bundle.method,
        backbone,
        method_params(bundle.method, bundle.section),
        read_learned(folder / _WEIGHTS).tensors,
        seed=bundle.seed,
        where=folder / _WEIGHTS,
        multilabel=bundle.multilabel,
    )
    return Model(bundle, method)


def open_model(
    path: Path,
    *,
    fold: str | None = None,
    default_dataset: str | None = None,
    device: torch.device | str = "cpu",
) -> Model:
    """Return the model of a bundle's folder or, with its options, of a result; see `write_bundle`.

    Raises
    ------
    FedMVPError
        As `load_bundle` and `write_bundle`; for an option that a bundle does not have.
    """
    if not is_bundle(path):
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
