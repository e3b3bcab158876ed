"""The DomainBed datasets as the public loaders expect them (Dassl's and DomainBed's)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fedmvp.catalog.spec import DatasetSpec
from tests.miniatures.writing import Folder

__all__ = ["DOMAINS", "FIELD"]


def _domains(
    folders: Mapping[str, str], *, numbered: bool = False, images: int = 2
) -> Callable[[DatasetSpec, Folder], None]:
    """Fill ``<domain>/<class>``; `folders` maps the catalog's domains to folders."""

    def fill(spec: DatasetSpec, folder: Folder) -> None:
        for domain in spec.domain_names:
            for label, entry in enumerate(spec.classes):
                below = str(label) if numbered else entry.folder
                for number in range(1, images + 1):
                    folder.image(f"{folders[domain]}/{below}/pic_{number:03d}.jpg", label + number)

    return fill


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


DOMAINS: dict[str, tuple[str, Callable[[DatasetSpec, Folder], None]]] = {
    "pacs": (
        "pacs",
        _domains({"artpainting": "art_painting", **_same("cartoon", "photo", "sketch")}),
    ),
    "officehome": ("officehome", _domains(_same("art", "clipart", "product", "realworld"))),
    "vlcs": (
        "VLCS",
        _domains(
            {d: f"{d.upper()}/full" for d in ("caltech", "labelme", "pascal", "sun")},
            numbered=True,
        ),
    ),
    "terraincognita": (
        "terra_incognita",
        _domains({f"l{n}": f"location_{n}" for n in (38, 43, 46, 100)}),
    ),
    "domainnet": (
        "domainnet",
        _domains(_same("clipart", "infograph", "painting", "quickdraw", "real", "sketch")),
    ),
}


def _parts(spec: DatasetSpec, folder: Folder) -> None:
    """Fill ``{train,test}/<class>``, as copies of CIFAR in image files have it."""
    for label, entry in enumerate(spec.classes):
        for number, part in enumerate(("train", "test"), start=1):
            folder.image(f"{part}/{entry.folder}/{number:04d}.png", label, "png")


def _among_others(spec: DatasetSpec, folder: Folder) -> None:
    """Fill the ten classes of DomainNet beside one that is not among them."""
    for domain in spec.domain_names:
        for label, entry in enumerate(spec.classes):
            for number in range(1, 6):
                folder.image(f"{domain}/{entry.folder}/pic_{number:03d}.jpg", label + number)
        folder.image(f"{domain}/aircraft_carrier/pic_001.jpg", 60)


FIELD: dict[str, tuple[str, Callable[[DatasetSpec, Folder], None]]] = {
    "cifar10": ("cifar10", _parts),
    "cifar100": ("cifar100", _parts),
    "office_caltech10": (
        "office_caltech_10",
        _domains(_same("amazon", "caltech", "dslr", "webcam"), images=5),
    ),
    "domainnet10": ("domainnet10", _among_others),
}
"""Datasets of the field's non-IID protocols, which the paper does not use; split 80/20."""
