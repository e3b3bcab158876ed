"""A manifest as a JSON file: equal manifests give equal bytes; it is checked when read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from fedmvp.catalog.cameras import Camera
from fedmvp.catalog.spec import SentenceSpec
from fedmvp.data.image import Image
from fedmvp.data.manifest import Manifest, SplitOrigin
from fedmvp.data.splits import Split
from fedmvp.errors import DataError
from fedmvp.files import read_json, write_text

__all__ = ["load_manifest", "save_manifest"]

_COLUMNS: dict[str, list[str]] = {
    "single": ["path", "label", "domain", "split"],
    "multi": ["path", "labels", "ignored", "domain", "split"],
}
_SPLITS: tuple[str, ...] = get_args(Split)


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON, one image per line."""
    head: dict[str, Any] = {
        "dataset": manifest.dataset,
        "title": manifest.title,
        "template": manifest.template,
        "sentence": manifest.sentence.model_dump(mode="json"),
        "split": {"kind": manifest.split.kind, "detail": manifest.split.detail},
        "subset": manifest.subset,
        "content": manifest.content,
        "classes": manifest.classes,
        "domains": manifest.domains,
        "columns": _COLUMNS[manifest.task],
    }
    if manifest.task != "single":
        head["task"] = manifest.task
    if manifest.unseen:
        head["unseen"] = manifest.unseen
    if manifest.capture:
        cameras = manifest.capture.items()
        head["capture"] = {domain: camera.model_dump(mode="json") for domain, camera in cameras}
    if manifest.groups:
        head["groups"] = manifest.groups
    single = manifest.task == "single"
    rows = [
        [i.path, *([i.label] if single else [i.labels, i.ignored]), i.domain, i.split]
        for i in manifest.images
    ]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    write_text(path, f'{text},\n "images": [\n{lines}\n ]\n}}\n')


def load_manifest(path: Path) -> Manifest:
    """Read and validate a manifest.

    Raises
    ------
    DataError
        When the file is missing or is not a valid manifest.
    """
    value = read_json(path)
    try:
        if not isinstance(value, dict):
            raise TypeError("not a mapping")
        task = value.get("task", "single")
        if value["columns"] != _COLUMNS.get(task):
            raise ValueError(f"columns are not {_COLUMNS['single']}, or those of task: multi")
        read = _image if task == "single" else _image_of_many
        images = tuple(read(value["dataset"], row) for row in value["images"])
        manifest = Manifest(
            dataset=value["dataset"],
            title=value["title"],
            template=value["template"],
            sentence=SentenceSpec.model_validate(value["sentence"]),
            split=SplitOrigin(**value["split"]),
            subset=value["subset"],
            classes=tuple(value["classes"]),
            domains=tuple(value["domains"]),
            images=images,
            content=value["content"],
            capture=_cameras(value.get("capture", {})),
            groups=tuple(value.get("groups", ())),
            task=task,
            unseen=tuple(value.get("unseen", ())),
        )
        _check(manifest)
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"not a valid manifest ({type(error).__name__}: {error})",
            where=path,
            hint="delete it and run `dvc repro download`",
        ) from None
    return manifest


def _image(dataset: object, row: Any) -> Image:
    path, label, domain, split = row
    return Image(f"{dataset}/{path}", path, (label,), domain, split)


def _image_of_many(dataset: object, row: Any) -> Image:
    path, labels, ignored, domain, split = row
    return Image(f"{dataset}/{path}", path, tuple(labels), domain, split, tuple(ignored))


def _cameras(value: object) -> dict[str, Camera]:
    if not isinstance(value, dict):
        raise TypeError("capture is not a mapping of domains to cameras")
    return {domain: Camera.model_validate(camera) for domain, camera in value.items()}


def _check(manifest: Manifest) -> None:
    head: tuple[object, ...] = (
        manifest.dataset,
        manifest.title,
        manifest.template,
        manifest.content,
        *manifest.classes,
        *manifest.domains,
        *manifest.groups,
        *manifest.unseen,
    )
    if stray := next((text for text in head if not isinstance(text, str)), None):
        raise ValueError(f"{stray!r} is not text")
    if stray := next((name for name in manifest.capture if name not in manifest.domains), None):
        raise ValueError(f"capture names {stray!r}, which is not a domain")
    if len(set(manifest.classes)) != len(manifest.classes):
        raise ValueError("a class is listed twice")
    if manifest.groups and len(manifest.groups) != len(manifest.classes):
        raise ValueError("groups does not name a superclass for each class")
    if len(manifest.by_id) != len(manifest.images):
        raise ValueError("an image is listed twice")
    if not set(manifest.unseen) <= set(manifest.classes) or not manifest.seen:
        raise ValueError("unseen does not name some of the classes")
    if manifest.unseen and manifest.task == "single":
        raise ValueError("unseen is of task: multi")
    known_labels, known_domains = range(len(manifest.classes)), frozenset(manifest.domains)
    for image in manifest.images:
        known = _are_labels(image, known_labels, single=manifest.task == "single")
        if not known or image.domain not in known_domains or image.split not in _SPLITS:
            raise ValueError(f"label, domain or split of {image.path!r} is unknown")
        if not _is_inside(image.path):
            raise ValueError(f"{image.path!r} leaves the dataset's folder")


def _are_labels(image: Image, known: range, *, single: bool) -> bool:
    marked = (*image.labels, *image.ignored)
    # Types are checked first: an entry may be anything, even a list.
    typed = all(type(label) is int and label in known for label in marked)
    return (
        typed
        and len(set(marked)) == len(marked)
        and all(part == tuple(sorted(part)) for part in (image.labels, image.ignored))
        and (not single or (len(image.labels) == 1 and not image.ignored))
    )


def _is_inside(path: object) -> bool:
    return isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/")
