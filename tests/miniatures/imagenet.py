"""ImageNet and its variants (docs/datasets.md#data-you-already-have)."""

from __future__ import annotations

from collections.abc import Callable

from fedmvp.catalog.spec import DatasetSpec
from tests.miniatures.writing import Folder

__all__ = ["IMAGENET"]


def _imagenet(spec: DatasetSpec, folder: Folder) -> None:
    """CoOp's layout: ``images/{train,val}/<wnid>``."""
    for part, stem in (("train", "{wnid}_1"), ("val", "ILSVRC2012_val_{label:08d}")):
        for label, entry in enumerate(spec.classes):
            name = stem.format(wnid=entry.folder, label=label + 1)
            folder.image(f"images/{part}/{entry.folder}/{name}.JPEG", label)
    _names(spec, folder)


def _imagenet_v2(spec: DatasetSpec, folder: Folder) -> None:
    """Folders 0 to 999: their numbers are labels, their order as texts is not."""
    for label in range(len(spec.classes)):
        top = "imagenetv2-matched-frequency-format-val"
        folder.image(f"{top}/{label}/{label:06x}.jpeg", label)
    _names(spec, folder)


def _variant(top: str) -> Callable[[DatasetSpec, Folder], None]:
    def fill(spec: DatasetSpec, folder: Folder) -> None:
        for label, entry in enumerate(spec.classes):
            folder.image(f"{top}/{entry.folder}/art_{label}.jpg", label)
        folder.lines(f"{top}/README.txt", ["Files that are not images lie here, too."])
        _names(spec, folder)

    return fill


def _names(spec: DatasetSpec, folder: Folder) -> None:
    folder.lines("classnames.txt", (f"{e.folder} {e.name}" for e in spec.classes))


IMAGENET: dict[str, tuple[str, Callable[[DatasetSpec, Folder], None]]] = {
    "imagenet": ("imagenet", _imagenet),
    "imagenet_v2": ("imagenetv2", _imagenet_v2),
    "imagenet_sketch": ("imagenet-sketch", _variant("images")),
    "imagenet_a": ("imagenet-adversarial", _variant("imagenet-a")),
    "imagenet_r": ("imagenet-rendition", _variant("imagenet-r")),
}
