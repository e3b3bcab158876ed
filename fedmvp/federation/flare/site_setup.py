"""``fedmvp site init``: site.yaml, and the frozen CLIP beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from fedmvp.attributes.class_attributes import (
    ClassAttributes,
    load_attributes,
    save_attributes,
)
from fedmvp.attributes.schema import check_list
from fedmvp.clip.spec import BackboneSpec
from fedmvp.errors import BackboneError, ConfigError
from fedmvp.federation.flare.layout import Kit
from fedmvp.federation.plan import Plan, load_plan
from fedmvp.federation.site_config import SiteConfig
from fedmvp.files import read_json, write_text
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone
from fedmvp.sections import parse_section

__all__ = ["write_site"]

_ATTRIBUTES = "attributes.json"
_HEAD = """\
# This site's own settings. Nothing in this file is ever sent; `share` says what may leave.
"""


def write_site(
    kit: Kit,
    images: Path,
    attributes: Path,
    choice: BackboneChoice,
    *,
    template: str,
    known: str,
    labels: Path | None = None,
) -> None:
    """Write site.yaml, once everything it names has been found.

    Raises
    ------
    ConfigError
        When images, attributes or labels are missing, or an entry is impossible.
    BackboneError
        When the CLIP model is not the federation's.
    """
    if not images.is_dir():
        raise ConfigError(
            "no folder of images", where="--images", value=images, hint="correct the path"
        )
    if not attributes.is_file():
        raise ConfigError(
            "no file of attributes", where="--attributes", value=attributes, hint="correct the path"
        )
    if labels is not None and not labels.is_file():
        raise ConfigError(
            "no table of labels", where="--labels", value=labels, hint="correct the path"
        )
    plan = load_plan(kit.plan)
    _require_task(plan, labels)
    table = {} if labels is None else {"labels": str(labels.absolute())}
    value = {
        "client": kit.name,
        "images": {"tree": str(images.absolute()), **table, "template": template},
        "attributes": _ATTRIBUTES,
        "backbone": kit.backbone.name,
        "known": known,
    }
    config = parse_section(SiteConfig, value, "fedmvp site init")
    texts = _texts(attributes)
    folder = prepare_backbone(choice)
    spec = BackboneSpec.model_validate(read_json(folder / "spec.json"))
    if spec.tower_sha256 != plan.backbone.sha256:
        raise BackboneError(
            f"is not the federation's CLIP model, {plan.backbone.sha256[:12]}…",
            where="--backbone",
            value=f"{choice.name} {spec.tower_sha256[:12]}…",
            hint="ask the organiser for the model's name and weights",
        )
    shutil.rmtree(kit.backbone, ignore_errors=True)
    shutil.copytree(folder, kit.backbone)
    save_attributes(kit.root / _ATTRIBUTES, texts)
    written = {
        **value,
        "minimum": config.minimum.model_dump(mode="json"),
        "share": config.share.model_dump(mode="json"),
        "max_update_norm": config.max_update_norm,
    }
    text: str = yaml.safe_dump(written, sort_keys=False, allow_unicode=True, width=100)
    write_text(kit.site, _HEAD + text)
    kit.site.chmod(0o600)


def _require_task(plan: Plan, labels: Path | None) -> None:
    if plan.multilabel is not None and labels is None:
        raise ConfigError(
            "images of this federation show many classes each, and no table of labels was given",
            where="--labels",
            hint="give a CSV table with the columns image and classes",
        )
    if plan.multilabel is None and labels is not None:
        raise ConfigError(
            "images of this federation show one class each",
            where="--labels",
            value=labels,
            hint="leave it out, and put images into folders of their classes",
        )


def _texts(path: Path) -> ClassAttributes:
    """Read attributes: as the stage writes them, or as a mapping of class to list of texts.

    Raises
    ------
    FedMVPError
        When the file is neither.
    """
    value = read_json(path)
    if not isinstance(value, dict) or "classes" in value:
        return load_attributes(path)
    classes = {
        str(name): check_list(texts, dataset="images", class_name=str(name), may_name_class=True)
        for name, texts in value.items()
    }
    return ClassAttributes("images", "file", path.name, "", classes)
