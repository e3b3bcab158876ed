"""What a report is about: its heading, its data, and whether the backbone suits them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fedmvp.config import BackboneParams, Params
from fedmvp.data.images import load_images
from fedmvp.data.manifest import Manifest
from fedmvp.errors import DataError
from fedmvp.evaluation.domain import domain_of, foreign_to
from fedmvp.partition.setting_spec import load_setting
from fedmvp.report import DataRow, Subject
from fedmvp.report.title import heading

__all__ = ["subject_of"]

_SAMPLE = 32


def subject_of(
    params: Params, manifests: Sequence[Manifest], folder_of: Callable[[str], Path]
) -> Subject:
    """Return the subject of params.yaml's profile.

    Parameters
    ----------
    manifests : sequence of Manifest
        Of data.datasets, in that order.
    folder_of : callable
        Folder of a dataset's raw images.
    """
    run, backbone = params.run, params.backbone
    cameras = any(manifest.capture for manifest in manifests)
    return Subject(
        profile=params.profile,
        title=params.report.title or heading([m.title for m in manifests], cameras=cameras),
        suite=run.suite,
        backbone=backbone.name,
        pretrained=backbone.pretrained or "",
        setting_titles={name: load_setting(run.suite, name).title for name in run.settings},
        data=tuple(map(_data_row, manifests)),
        warnings=tuple(_warnings(backbone, manifests, folder_of)),
    )


def _warnings(
    backbone: BackboneParams, manifests: Iterable[Manifest], folder_of: Callable[[str], Path]
) -> Iterable[str]:
    """Yield reservations about the numbers: images for which the backbone was not made."""
    domain = domain_of(backbone, weights=backbone.weights)
    if domain is None:
        return
    for manifest in manifests:
        images = manifest.images[:: max(1, len(manifest.images) // _SAMPLE)]
        ids = [image.id for image in images]
        try:
            # Without cameras: a drawing seen through a site's camera is still a drawing.
            pixels = load_images(
                manifest.without_cameras(), ids, domain.image_size, "all", folder_of
            )
        except DataError:  # results may come without their images
            continue
        if found := foreign_to(pixels, domain):
            yield f"{manifest.title}: {found}."


def _data_row(manifest: Manifest) -> DataRow:
    splits = Counter(image.split for image in manifest.images)
    return DataRow(
        name=manifest.dataset,
        title=manifest.title,
        classes=len(manifest.classes),
        domains=len(manifest.domains),
        splits={name: splits[name] for name in ("train", "val", "test")},
        split_kind=manifest.split.kind,
        split_detail=manifest.split.detail,
        subset=manifest.subset,
    )
