"""From file names to a predictor."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.errors import CheckpointError, ConfigError
from fedmvp.files import sha256_file
from fedmvp.methods import METHODS
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.build import build_method, load_method, method_params
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.paths import BACKBONE
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone
from fedmvp.prediction.candidates import choose_candidates
from fedmvp.prediction.predictor import Predictor
from fedmvp.prediction.request import PredictionRequest
from fedmvp.results.learned import Learned, read_learned
from fedmvp.sections import parse_section

__all__ = [
    "PredictionWarning",
    "assemble",
    "load_predictor",
    "multilabel_of",
    "run_datasets",
    "section_of",
]

_NOTHING = Learned(None, {})
_SPEC = "spec.json"


class PredictionWarning(UserWarning):
    """A prediction that can be made but may not be what was meant."""


def load_predictor(request: PredictionRequest, *, device: torch.device | str = "cpu") -> Predictor:
    """Return what classifies as asked.

    Raises
    ------
    FedMVPError
        Naming what is missing or does not fit, and the hint.
    """
    weights, asked, dataset = request.weights, request.method, request.dataset
    if weights is not None and asked is None and _untrained(weights):
        weights, asked = None, str(weights)
    learned = _NOTHING if weights is None else read_learned(weights, request.fold)
    name = asked or learned.method or ("zero_shot" if weights is None else None)
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
    if dataset is None and request.classes is None:
        dataset = _only_dataset(learned.run, required=request.attributes is None)
    candidates = choose_candidates(
        dataset=dataset,
        domain=request.domain,
        classes=request.classes,
        attributes=request.attributes,
    )
    run = _run_params(learned)
    tower = load_backbone(
        _backbone_folder(request.backbone, learned),
        precision=run.get("precision", "fp32"),
        linear=run.get("linear", "matmul"),
        device=device,
    )
    tensors = learned.tensors if trained else {}
    seed = int(learned.run.get("seed", 0))
    head = multilabel_of(learned) if trained else None
    method = assemble(name, tower, params, tensors, seed=seed, where=weights, multilabel=head)
    return Predictor(method, candidates)


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


def multilabel_of(learned: Learned) -> MultiLabelParams | None:
    """Return the head of a run on images that show many classes; None of one that show one."""
    section = learned.run.get("params", {}).get("multilabel")
    return None if section is None else parse_section(MultiLabelParams, section, "run.json: params")


def run_datasets(run: Mapping[str, Any]) -> list[str]:
    """Return the datasets a run read, sorted; empty without a run."""
    paths = [PurePosixPath(key) for key in run.get("inputs", {})]
    return sorted(path.stem for path in paths if path.parent.name == "attributes")


def _only_dataset(run: Mapping[str, Any], *, required: bool) -> str | None:
    """Return the dataset of a run that has one; None where there is no run."""
    names = run_datasets(run)
    if len(names) > 1 and required:
        raise ConfigError(
            "the run has several datasets",
            where="--dataset",
            hint=f"choose one: {', '.join(names)}",
        )
    return names[0] if len(names) == 1 else None


def section_of(
    name: str, learned: Learned, *, variant: str | None = None, lora: bool | None = None
) -> MethodParams:
    """Return the method's validated section: the run's, the weights' own, and the options.

    Raises
    ------
    ConfigError
        For an option the method does not have.
    """
    fields = load_method(name).Params.model_fields
    for option, value, key in (("--variant", variant, "variant"), ("--lora", lora, "lora_eval")):
        if value is not None and key not in fields:
            raise ConfigError(
                f"method {name} has no {key}", where=option, value=value, hint=f"drop {option}"
            )
    own = learned.method == name
    section = dict(learned.resolved) if own else {}
    if variant is not None:
        # Entries whose default is null are the variant's to fill.
        section = {key: value for key, value in section.items() if fields[key].default is not None}
        section["variant"] = variant
    section |= learned.fixed if own else {}
    if lora is not None:
        section["lora_eval"] = lora
    return method_params(name, section)


def assemble(
    name: str,
    backbone: Backbone,
    params: MethodParams,
    tensors: Mapping[str, Tensor],
    *,
    seed: int,
    where: Path | str | None,
    multilabel: MultiLabelParams | None = None,
) -> Method:
    """Return the method with its learned tensors in place.

    Parameters
    ----------
    seed : int
        Of the run: what a method draws and does not learn (a random bank) depends on it.
    where : Path or str
        For messages.
    multilabel : MultiLabelParams, optional
        Head of a run on images that show many classes.

    Raises
    ------
    CheckpointError
        Naming the first tensor that is missing, extra or misshapen.
    """
    method = build_method(name, backbone, params, seed, multilabel)
    own = method.tensors()
    hint = f"use the weights of a {name} trained on {backbone.spec.name}, or name their backbone"
    for key in sorted(own.keys() ^ tensors.keys()):
        kind = "missing" if key in own else "extra"
        raise CheckpointError(f"tensor is {kind}", where=where, value=key, hint=hint)
    for key, parameter in own.items():
        found = tensors[key].shape
        if found != parameter.shape:
            raise CheckpointError(
                f"{key} has shape {tuple(found)} instead of {tuple(parameter.shape)}",
                where=where,
                hint=hint,
            )
        with torch.no_grad():
            parameter.copy_(tensors[key])
    return method
