"""From what is asked for to a model: which weights, which backbone, which classes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fedmvp.catalog.spec import dataset_names
from fedmvp.clip.backbone import load_backbone
from fedmvp.errors import ConfigError
from fedmvp.files import sha256_file
from fedmvp.methods import METHODS
from fedmvp.methods.build import load_method
from fedmvp.paths import BACKBONE
from fedmvp.prediction.assembly import (
    assemble,
    multilabel_of,
    run_datasets,
    section_of,
    threshold_of,
)
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone
from fedmvp.prediction.bundle import is_bundle, load_bundle
from fedmvp.prediction.candidates import choose_candidates
from fedmvp.prediction.description import Bundle, NamedBackbone
from fedmvp.prediction.model import Model, PredictionWarning
from fedmvp.prediction.predictor import Predictor
from fedmvp.prediction.request import PredictionRequest
from fedmvp.results.learned import Learned, read_learned, weights_file

__all__ = ["load_model", "load_predictor"]

_NOTHING = Learned(None, {})
_SPEC = "spec.json"


def load_predictor(request: PredictionRequest, *, device: torch.device | str = "cpu") -> Predictor:
    """Return what classifies as asked.

    Raises
    ------
    FedMVPError
        Naming what is missing or does not fit, and the hint.
    """
    model = load_model(request, device=device)
    if request.dataset is None and request.classes is None and request.attributes is None:
        _require_one(model)
    return model.predictor(
        dataset=request.dataset,
        domain=request.domain,
        classes=request.classes,
        attributes=request.attributes,
    )


def load_model(request: PredictionRequest, *, device: torch.device | str = "cpu") -> Model:
    """Return the model of a result, of imported weights, of a bundle or of an untrained method.

    Raises
    ------
    FedMVPError
        Naming what is missing or does not fit, and the hint.
    """
    weights, method = request.weights, request.method
    if weights is not None and is_bundle(weights):
        _refuse_options(request)
        return load_bundle(weights, device=device)
    if weights is not None and method is None and _untrained(weights):
        weights, method = None, str(weights)
    learned = _NOTHING if weights is None else read_learned(weights, request.fold)
    name = method or learned.method or ("zero_shot" if weights is None else None)
    if name is None:
        raise ConfigError(
            "the weights do not name their method", where=weights, hint="give --method NAME"
        )
    trained = load_method(name).trained
    if trained and weights is None:
        raise ConfigError(
            "method needs its learned tensors",
            where="--method",
            value=name,
            hint="give --weights FILE",
        )
    params = section_of(name, learned, variant=request.variant, lora=request.lora)
    run = _run_params(learned)
    tower = load_backbone(
        _backbone_folder(request.backbone, learned),
        precision=run.get("precision", "fp32"),
        linear=run.get("linear", "matmul"),
        device=device,
    )
    seed = int(learned.run.get("seed", 0))
    tensors = learned.tensors if trained else {}
    datasets = run_datasets(learned.run)
    known = set(dataset_names())
    if request.dataset in datasets:
        known &= {request.dataset}  # a list of a thousand classes takes a while to read
    bundle = Bundle(
        method=name,
        section=params.resolved(),
        seed=seed,
        backbone=NamedBackbone.of(tower),
        default=datasets[0] if datasets else None,
        candidates={key: choose_candidates(dataset=key) for key in datasets if key in known},
        multilabel=multilabel_of(learned.run) if trained else None,
        threshold=(
            threshold_of(learned.run, weights_file(weights), request.fold)
            if trained and weights is not None
            else None
        ),
    )
    head = bundle.multilabel
    return Model(
        bundle,
        assemble(name, tower, params, tensors, seed=seed, where=weights, multilabel=head),
    )


def _refuse_options(request: PredictionRequest) -> None:
    """Refuse what a bundle says itself."""
    for option in ("backbone", "method", "variant", "lora", "fold"):
        if getattr(request, option) is not None:
            raise ConfigError(
                "a bundle has its own",
                where=f"--{option}",
                hint=f"drop --{option}, or name a result's folder",
            )


def _require_one(model: Model) -> None:
    if len(model.datasets) > 1:
        raise ConfigError(
            "the run has several datasets",
            where="--dataset",
            hint=f"choose one: {', '.join(model.datasets)}",
        )


def _untrained(weights: Path) -> bool:
    """Tell whether a method that learns nothing is named in the place of a file."""
    name = str(weights)
    return name in METHODS and not weights.exists() and not load_method(name).trained


def _run_params(learned: Learned) -> Mapping[str, Any]:
    """Return the backbone section of the run's params."""
    section: Mapping[str, Any] = learned.run.get("params", {}).get("backbone", {})
    return section


def _backbone_folder(choice: BackboneChoice | None, learned: Learned) -> Path:
    """Return the files of the backbone: the one asked for, else the one of the run."""
    wanted = learned.run.get("inputs", {}).get((BACKBONE / _SPEC).as_posix())
    if choice is None:
        choice = BackboneChoice()
        section = _run_params(learned)
        if section and _hash(BACKBONE / _SPEC) != wanted:
            weights = section.get("weights")
            choice = BackboneChoice(
                section.get("name"), Path(weights) if weights else None, section.get("pretrained")
            )
    folder = prepare_backbone(choice)
    if wanted is not None and _hash(folder / _SPEC) != wanted:
        warnings.warn(
            "the weights were trained on another backbone than the one in use",
            PredictionWarning,
            stacklevel=3,
        )
    return folder


def _hash(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None
