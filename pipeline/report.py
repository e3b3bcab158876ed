"""Stage ``report``: all results → report/index.html, metrics.json, tables and plots."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

from fedmvp.config import load_params
from fedmvp.data.images import load_images, raw_folder
from fedmvp.data.manifest import Manifest
from fedmvp.data.manifest_files import load_manifest
from fedmvp.dvc_lock import require_as_recorded
from fedmvp.paths import PARTITIONS, REPORT, RESULTS, manifest_path
from fedmvp.report import build
from pipeline.support.contact_sheet import site_sheet
from pipeline.support.stage import run_stage
from pipeline.support.subject import subject_of

# Enough for a thumbnail; a photograph at the model's 224 px would triple the page.
IMAGE_PX = 128
_folder_of = cache(raw_folder)


def main() -> None:
    """Write the report of params.yaml's profile."""
    params = load_params()
    run = params.run
    methods = (*run.zero_shot, *run.trained)
    require_as_recorded(Path(), [RESULTS / name / one for name in run.settings for one in methods])
    manifests = [_manifest(name) for name in params.data.datasets]
    build(
        RESULTS,
        PARTITIONS,
        REPORT,
        subject_of(params, manifests, _folder_of),
        settings=run.settings,
        methods=methods,
        seeds=run.seeds,
        load_image=_load_image,
        manifests={manifest.dataset: manifest for manifest in manifests},
        sheet=site_sheet(manifests, _folder_of),
    )
    print("report/index.html")


def _load_image(dataset: str, image_id: str) -> Image.Image:
    # "all": a domain setting tests on images of every split.
    pixels = load_images(_manifest(dataset), [image_id], IMAGE_PX, "all", _folder_of)
    return Image.fromarray(pixels[0])


@cache
def _manifest(dataset: str) -> Manifest:
    return load_manifest(manifest_path(dataset))


if __name__ == "__main__":
    run_stage(main)
