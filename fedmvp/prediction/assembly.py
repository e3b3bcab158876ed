"""A method with its learned tensors, built from what a run or a file says about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import CheckpointError, ConfigError
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.build import build_method, load_method, method_params
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.results.files import TARGETS
from fedmvp.results.learned import Learned
from fedmvp.results.targets import read_targets
from fedmvp.sections import parse_section

__all__ = ["assemble", "multilabel_of", "run_datasets", "section_of", "threshold_of"]

_HALF = 0.5


def threshold_of(run: Mapping[str, Any], weights: Path, fold: str | None) -> float | None:
    """Return the threshold that a run's clients chose; None where images show one class.

    0.5 if the run was not evaluated.

    Parameters
    ----------
    run : mapping
        Its run.json.
    weights : Path
        Its weights.safetensors; targets.csv stands beside it.
    fold : str, optional
        Of a setting with several.

    Raises
    ------
    DataError
        When targets.csv is damaged.
    """
    if multilabel_of(run) is None:
        return None
    path = weights.parent / TARGETS
    rows = read_targets(path) if path.is_file() else ()
    found = [row.measures.get("threshold", _HALF) for row in rows if fold in (None, row.fold)]
    return found[0] if found else _HALF


def multilabel_of(run: Mapping[str, Any]) -> MultiLabelParams | None:
    """Return the head's parameters if a run's images show many classes, else None."""
    section = run.get("params", {}).get("multilabel")
    return None if section is None else parse_section(MultiLabelParams, section, "run.json: params")


def run_datasets(run: Mapping[str, Any]) -> list[str]:
    """Return the datasets a run read, sorted; empty without a run."""
    paths = [PurePosixPath(key) for key in run.get("inputs", {})]
    return sorted(path.stem for path in paths if path.parent.name == "attributes")


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
