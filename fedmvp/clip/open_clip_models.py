"""Models and the tokenizer of open_clip: the only module that imports it.

Importing it takes three times as long as torch's, so one stage does (`fedmvp.clip.conversion`), and
later ones read the files it wrote.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedmvp.clip.activation import CONFIGS, activation_name, declared_activation
from fedmvp.clip.activation_measure import measured_activation
from fedmvp.clip.architecture import canonical, describe
from fedmvp.clip.spec import BackboneSpec
from fedmvp.clip.weight_files import filled, read_state
from fedmvp.errors import BackboneError, nearest

__all__ = ["PICTOCLIP", "describe_model", "open_clip_model"]

#: Name of the CLIP model that ships with the package.
PICTOCLIP = "pictoclip"


def _silence_hubs() -> None:
    """Turn telemetry off before the hub clients are imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@contextlib.contextmanager
def _building() -> Iterator[None]:
    """Mute open_clip's warning that a model was built without weights: they follow."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _pictoclip_folder() -> Traversable:
    return resources.files("fedmvp.clip").joinpath("weights", PICTOCLIP)


def _pictoclip_architecture() -> dict[str, Any]:
    text = _pictoclip_folder().joinpath("config.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)["model_cfg"]
    return config


def _require_known(name: str) -> None:
    import open_clip

    known = open_clip.list_models()
    if name not in known:
        raise BackboneError(
            "unknown backbone",
            where="backbone.name",
            value=name,
            hint=nearest(name, [PICTOCLIP, *known]),
        )


def describe_model(name: str) -> BackboneSpec:
    """Return the sizes of an open_clip model without making its weights.

    Parameters
    ----------
    name : str
        ``"pictoclip"`` or a name open_clip knows.

    Returns
    -------
    BackboneSpec
        With a hash of zeros: there are no weights.

    Raises
    ------
    BackboneError
        For an unknown name or an architecture that is not supported.
    """
    _silence_hubs()
    import open_clip

    with torch.device("meta"), _building():
        if name == PICTOCLIP:
            model = open_clip.CLIP(**_pictoclip_architecture())
        else:
            _require_known(name)
            model = open_clip.create_model(name, pretrained=None, device="meta")
    return describe(model, name, None)


def open_clip_model(
    name: str, pretrained: str | None = None, weights: Path | None = None
) -> nn.Module:
    """Build the open_clip model in fp32, in evaluation mode.

    Parameters
    ----------
    name : str
        ``"pictoclip"`` or a name open_clip knows.
    pretrained : str, optional
        open_clip's tag; fetched by open_clip.
    weights : Path, optional
        A local file in place of `pretrained`; see `fedmvp.clip.weight_files.read_state`.

    Raises
    ------
    BackboneError
        For an unknown name, a wrong activation, or weights that do not fit.
    """
    # Before open_clip is imported: a wrong file is reported at once.
    state = None if weights is None else read_state(weights)
    _silence_hubs()
    import open_clip

    if name == PICTOCLIP:
        model = open_clip.CLIP(**_pictoclip_architecture())
        if weights is not None and state is not None:
            return _checked(name, filled(model, state, weights), state, weights)
        with resources.as_file(_pictoclip_folder().joinpath("model.safetensors")) as path:
            return filled(model, read_state(Path(path)), Path(path))
    _require_known(name)
    if weights is None and pretrained is not None:
        _require_tag(name, pretrained)
    try:
        with _building():
            model = open_clip.create_model(name, pretrained=pretrained if weights is None else None)
    except (OSError, RuntimeError, ValueError) as error:
        raise BackboneError(
            f"open_clip cannot build it: {error}",
            where="backbone",
            value=name,
            hint="check backbone.pretrained and the network, or give backbone.weights a local file",
        ) from None
    if weights is None or state is None:
        built: nn.Module = model.eval()
        return built
    return _checked(name, filled(model, state, weights), state, weights)


def _require_tag(name: str, tag: str) -> None:
    """Refuse a tag that open_clip does not list for a name, or that wants another activation."""
    from open_clip import get_model_config, list_pretrained_tags_by_model
    from open_clip.pretrained import get_pretrained_cfg

    found = get_pretrained_cfg(name, tag)
    if not found:
        known = nearest(tag, list_pretrained_tags_by_model(name))
        raise BackboneError(
            f"open_clip lists no such weights of {name}",
            where="backbone.pretrained",
            value=tag,
            hint=f"{known}; a file goes to backbone.weights",
        )
    quick = bool(found.get("quick_gelu", False))
    # open_clip only warns, and then computes with the activation of the name.
    if quick != bool(get_model_config(name).get("quick_gelu", False)):
        raise _wrong_activation(
            name, quick, f"{tag} was trained with {activation_name(quick)}", "backbone.name"
        )


def _checked(name: str, model: nn.Module, state: dict[str, Tensor], weights: Path) -> nn.Module:
    """Return a model with local weights, if its activation is the one they were trained with."""
    spec = describe(model, name, "local")
    declared = declared_activation(weights, state)
    if declared is not None:
        if declared.quick_gelu != spec.quick_gelu:
            what = f"the weights need {activation_name(declared.quick_gelu)}: {declared.by}"
            raise _wrong_activation(name, declared.quick_gelu, what, weights)
        return model
    measured = measured_activation(spec, canonical(model))
    if measured in (None, spec.quick_gelu):
        return model
    error = _wrong_activation(
        name,
        not spec.quick_gelu,
        f"the weights read drawings clearly better with {activation_name(not spec.quick_gelu)}",
        weights,
    )
    setting = json.dumps({"model_cfg": {"quick_gelu": spec.quick_gelu}})
    error.hint += f"; if the name is right, say so beside the weights: {CONFIGS[0]} with {setting}"
    raise error


def _wrong_activation(name: str, quick: bool, what: str, where: object) -> BackboneError:
    """Return the error that a name means another activation than its weights, `quick` or not."""
    from open_clip import list_models

    plain = name.removesuffix("-quickgelu")
    other = f"{plain}-quickgelu" if quick else plain
    fits = other != name and other in list_models()
    hint = f"use {other}" if fits else "use a model of these sizes with that activation"
    return BackboneError(
        f"{what}; the name means {activation_name(not quick)}", where=where, value=name, hint=hint
    )
