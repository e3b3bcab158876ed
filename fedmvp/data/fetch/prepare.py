"""Steps that turn fetched files into a dataset."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from fedmvp.catalog.spec import DatasetSpec
from fedmvp.errors import SourceError
from fedmvp.files import read_json

__all__ = ["PREPARERS"]

_ANNOTATIONS = ("cis_test", "cis_val", "train", "trans_test", "trans_val")


def _terra_incognita(spec: DatasetSpec, staging: Path) -> None:
    """Sort camera-trap images into ``location_<n>/<class>``, as DomainBed's script does.

    An image with two animals is in the folders of both, as in DomainBed.
    """
    lists = {path.name: path for path in staging.rglob("*_annotations.json")}
    images = next((p for p in staging.rglob("eccv_18_all_images_sm") if p.is_dir()), None)
    absent = [f"{name}_annotations.json" for name in _ANNOTATIONS]
    absent = [name for name in absent if name not in lists]
    if images is None or absent:
        raise SourceError(
            f"archive lacks {absent[0] if absent else 'eccv_18_all_images_sm'}",
            where=staging,
            hint="get the archives from their official source again",
        )
    domains = {domain.folder: domain for domain in spec.domains}
    classes = {entry.folder for entry in spec.classes}
    for name in _ANNOTATIONS:
        value = read_json(lists[f"{name}_annotations.json"])
        categories = {c["id"]: c["name"] for c in value["categories"]}
        labels: dict[str, set[str]] = defaultdict(set)
        for annotation in value["annotations"]:
            labels[annotation["image_id"]].add(categories[annotation["category_id"]])
        for image in value["images"]:
            folder = f"location_{image['location']}"
            for label in sorted(labels[image["id"]] & classes):
                if folder in domains:
                    _link(images / image["file_name"], staging / folder / label)
    shutil.rmtree(images)
    for path in lists.values():
        path.unlink()
        if path.parent != staging and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _link(source: Path, folder: Path) -> None:
    """Give a file a second place without a second copy."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.name
    if target.exists():  # listed in two of the files
        return
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise SourceError(
            "image of the annotations is missing",
            where=source,
            hint="get the archives from their official source again",
        ) from None
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


PREPARERS: dict[str, Callable[[DatasetSpec, Path], None]] = {"terra_incognita": _terra_incognita}
