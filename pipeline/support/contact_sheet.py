"""The contact sheet of what the sites of a study see, if domains have cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from fedmvp.data.contact_sheet import contact_sheet
from fedmvp.data.manifest import Manifest
from fedmvp.report import ContactSheet

__all__ = ["site_sheet"]


def site_sheet(
    manifests: Iterable[Manifest], folder_of: Callable[[str], Path]
) -> ContactSheet | None:
    """Return the sheet of the first dataset with cameras; None for a study without any.

    Raises
    ------
    DataError, SourceError
        See `contact_sheet`.
    """
    seen = next((manifest for manifest in manifests if manifest.capture), None)
    if seen is None:
        return None
    clean = seen.without_cameras()
    return ContactSheet(
        image=contact_sheet(clean, seen, folder_of=folder_of),
        caption=f"{seen.title}. Before: the images as they are; after: as the camera of each domain"
        " takes them.",
        alt=f"Images of {seen.title}. A column per domain: {', '.join(seen.domains)}. Two rows per"
        " class: before the domain's camera, and after it.",
    )
