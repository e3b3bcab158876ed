"""Stage ``download``: a dataset's images on this machine, and data/manifests/<dataset>.json.

`fedmvp datasets verify` decodes every image; here only their headers are read.

Run as ``python -m pipeline.download DATASET``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from fedmvp.catalog.spec import load_spec
from fedmvp.config import load_params
from fedmvp.data.build import build_manifest
from fedmvp.data.check import check_images
from fedmvp.data.manifest_files import save_manifest
from fedmvp.data.readers.layout import locate, other_files
from fedmvp.data.sources import ensure_raw
from fedmvp.paths import manifest_path
from fedmvp.wording import plural
from pipeline.support.stage import run_stage, stage_arguments


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Fetch one dataset, list its images, and check that each is an image."""
    (dataset,) = stage_arguments(arguments, "DATASET")
    spec, data = load_spec(dataset), load_params().data
    manifest = build_manifest(spec, data.split_seed, data.capture)
    located = locate(spec, ensure_raw(spec))
    check_images(manifest, located.base)
    save_manifest(manifest, manifest_path(dataset))
    for line in other_files(spec, located):
        print(f"{dataset}: left out: {line}")
    if data.capture and not manifest.capture:
        print(f"{dataset}: its catalog entry declares no cameras; images stay as they are")
    splits = Counter(image.split for image in manifest.images)
    print(
        f"{dataset}: {plural(len(manifest.classes), 'class')}, "
        f"{plural(len(manifest.domains), 'domain')}, {plural(len(manifest.images), 'image')} "
        f"({splits['train']} train, {splits['val']} val, "
        f"{splits['test']} test)"
    )


if __name__ == "__main__":
    run_stage(main)
