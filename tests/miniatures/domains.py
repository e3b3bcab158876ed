"""The DomainBed datasets as the public loaders expect them (Dassl's and DomainBed's)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fedmvp.catalog.spec import DatasetSpec
from tests.miniatures.writing import Folder

__all__ = ["DOMAINS"]


def _domains(
    folders: Mapping[str, str], *, numbered: bool = False
) -> Callable[[DatasetSpec, Folder], None]:
    """Fill ``<domain>/<class>``; `folders` maps the catalog's domains to folders."""

    def fill(spec: DatasetSpec, folder: Folder) -> None:
        for domain in spec.domain_names:
            for label, entry in enumerate(spec.classes):
                below = str(label) if numbered else entry.folder
                for number in (1, 2):
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
