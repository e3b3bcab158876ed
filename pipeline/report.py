"""Stage ``report``: all results → report/index.html, metrics.json, tables and plots."""

from __future__ import annotations

from collections import Counter
from functools import cache

from PIL import Image

from fedmvp.config import load_params
from fedmvp.data.images import load_images, raw_folder
from fedmvp.data.manifest import Manifest, load_manifest
from fedmvp.partition.setting_spec import load_setting
from fedmvp.paths import PARTITIONS, REPORT, RESULTS, manifest_path
from fedmvp.report import DataRow, Subject, build
from pipeline.support.contact_sheet import site_sheet
from pipeline.support.stage import run_stage

# Enough for a thumbnail; a photograph at the model's 224 px would triple the page.
IMAGE_PX = 128
_folder_of = cache(raw_folder)


def main() -> None:
    """Write the report of params.yaml's profile."""
    params = load_params()
    run, backbone = params.run, params.backbone
    subject = Subject(
        profile=params.profile,
        title=params.report.title,
        suite=run.suite,
        backbone=backbone.name,
        pretrained=backbone.pretrained or "",
        setting_titles={name: load_setting(run.suite, name).title for name in run.settings},
        data=tuple(_data_row(_manifest(name)) for name in params.data.datasets),
    )
    build(
        RESULTS,
        PARTITIONS,
        REPORT,
        subject,
        settings=run.settings,
        methods=(*run.zero_shot, *run.trained),
        seeds=run.seeds,
        load_image=_load_image,
        sheet=site_sheet(map(_manifest, params.data.datasets), _folder_of),
    )
    print("report/index.html")


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


def _load_image(dataset: str, image_id: str) -> Image.Image:
    # "all": a domain setting tests on images of every split.
    pixels = load_images(_manifest(dataset), [image_id], IMAGE_PX, "all", _folder_of)
    return Image.fromarray(pixels[0])


@cache
def _manifest(dataset: str) -> Manifest:
    return load_manifest(manifest_path(dataset))


if __name__ == "__main__":
    run_stage(main)
