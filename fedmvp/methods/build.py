"""From a name and a section of params.yaml to a method."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams, MultiLabelParams, parse_section
from fedmvp.errors import ConfigError, nearest
from fedmvp.methods import METHODS
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.multilabel_head import MultiLabelHead

__all__ = ["build_method", "load_method", "method_params", "require_head", "resolved_federation"]


def load_method(name: str) -> type[Method]:
    """Import a method's class.

    Raises
    ------
    ConfigError
        For an unknown name, with the most similar known ones.
    """
    if name not in METHODS:
        raise ConfigError(
            "unknown method",
            where="params.yaml: methods",
            value=name,
            hint=nearest(name, sorted(METHODS)),
        )
    file, class_name, _ = METHODS[name]
    method: type[Method] = getattr(importlib.import_module(f"fedmvp.methods.{file}"), class_name)
    return method


def method_params(name: str, section: Mapping[str, Any]) -> MethodParams:
    """Validate ``methods.<name>``.

    Raises
    ------
    ConfigError
        Naming the key and its value, with a hint.
    """
    return parse_section(load_method(name).Params, dict(section), f"params.yaml: methods.{name}")


def resolved_federation(
    name: str,
    params: MethodParams,
    federation: FederationParams,
    participation: float | None = None,
) -> FederationParams:
    """Return the federation section with the overrides of the setting and then of the method.

    Parameters
    ----------
    participation : float, optional
        The setting's own share of clients per round.

    Raises
    ------
    ConfigError
        For an override of an unknown entry, and for differential privacy that the method would
        break.
    """
    own = {} if participation is None else {"participation": participation}
    merged = {**federation.model_dump(), **own, **params.federation_overrides()}
    found = parse_section(FederationParams, merged, f"params.yaml: methods.{name}.federation")
    if found.privacy is not None and load_method(name).forwards_updates:
        raise ConfigError(
            f"{name} sends single clients' tensors to other clients as they are, so differential "
            "privacy of the average protects nobody",
            where="params.yaml: federation.privacy",
            hint=f"set `privacy: null` in methods.{name}.federation, or train a method that sends "
            "only averages",
        )
    return found


def build_method(
    name: str,
    backbone: Backbone,
    params: MethodParams,
    seed: int,
    multilabel: MultiLabelParams | None = None,
) -> Method:
    """Create a method with its initial tensors.

    Parameters
    ----------
    multilabel : MultiLabelParams, optional
        Parameters of the head for images that show many classes; by default images show one.

    Raises
    ------
    ConfigError
        When the section's sizes do not fit this backbone, or the method has no loss for many
        labels.
    """
    if multilabel is not None:
        require_head(name, multilabel)
    try:
        method = load_method(name)(backbone, params, seed)
        if multilabel is not None:
            tokens = 1 + backbone.spec.vision.patches
            method.head = MultiLabelHead(multilabel, float(backbone.scale), tokens)
            backbone.vision.all_tokens = multilabel.head == "region"
        return method.to(backbone.device)
    except (ValueError, RuntimeError, MemoryError, OverflowError) as error:
        raise ConfigError(
            str(error),
            where=f"params.yaml: methods.{name}",
            hint=f"choose sizes that fit {backbone.spec.name}",
        ) from None


def require_head(name: str, multilabel: MultiLabelParams) -> None:
    """Refuse a method without a loss for many labels, or without the scores the head needs.

    Raises
    ------
    ConfigError
        Naming methods that have them.
    """
    chosen = load_method(name)
    if not chosen.many_labels:
        able = [known for known in METHODS if load_method(known).many_labels]
        raise ConfigError(
            "the method has no loss for images of many labels",
            where="params.yaml: methods",
            value=name,
            hint=f"choose among: {', '.join(able)}",
        )
    if multilabel.head in ("region", "pair") and not chosen.one_text:
        raise ConfigError(
            f"the head needs a method with one text for each class, which {name} does not have",
            where="params.yaml: multilabel.head",
            value=multilabel.head,
            hint="choose image or tiles, or another method",
        )
