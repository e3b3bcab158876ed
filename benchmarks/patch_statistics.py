r"""Record the reference of `fedmvp probe`: patch and pixel statistics of drawings PictoCLIP knows.

    python -m benchmarks.patch_statistics \\
        --out fedmvp/clip/weights/pictoclip/patch_statistics.json

reads every embedded emoji drawing as it is, without its site's camera, and writes domain.json, too:
what photographs are told by (`fedmvp.evaluation.domain`). PictoCLIP was trained on drawings like
these, not on these; the icons it was trained on do not ship. Needs the stage backbone, with
PictoCLIP.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fedmvp.catalog.spec import load_spec
from fedmvp.clip.backbone import load_backbone
from fedmvp.clip.open_clip_models import PICTOCLIP
from fedmvp.data.build import build_manifest
from fedmvp.data.image_source import ImageSource
from fedmvp.devices import prepare_device
from fedmvp.errors import BackboneError
from fedmvp.evaluation.domain import DOMAIN_FILE, Domain, plain_shares
from fedmvp.evaluation.shift import image_statistics, pooled
from fedmvp.evaluation.shift_reference import recorded
from fedmvp.files import write_json
from fedmvp.paths import BACKBONE
from pipeline.support.stage import run_stage

DATASETS = ("animals", "food", "objects", "travel", "activities")
DOMAIN = "drawings on plain grounds"
SOURCE = (
    "the embedded emoji drawings as they are: drawings like those PictoCLIP was trained on, which "
    "do not ship"
)


def main() -> None:
    """Read all drawings and write their statistics."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    out = parser.parse_args().out
    backbone = load_backbone(BACKBONE, device=prepare_device())
    spec = backbone.spec
    if spec.name != PICTOCLIP:
        raise BackboneError(
            "the drawings are a reference of PictoCLIP alone",
            where="backbone.name",
            value=spec.name,
            hint="use pictoclip, and run `dvc repro backbone`",
        )
    parts, plain = [], []
    for name in DATASETS:
        manifest = build_manifest(load_spec(name), split_seed=1)
        source = ImageSource({name: manifest}, spec.vision.image_size, "all")
        pixels, _ = source(name, [image.id for image in manifest.images], manifest.classes)
        parts.append((float(len(pixels)), image_statistics(backbone, pixels)))
        plain.append(plain_shares(pixels, spec.vision.patch_size))
    found = recorded(spec, pooled(parts), SOURCE)
    write_json(out, found.model_dump(mode="json"))
    domain = Domain(
        backbone=spec.name,
        images=DOMAIN,
        image_size=spec.vision.image_size,
        patch_size=spec.vision.patch_size,
        plain_patches=round(float(np.concatenate(plain).mean()), 3),
    )
    write_json(out.with_name(DOMAIN_FILE), domain.model_dump(mode="json"))
    print(f"{out}: {found.images} images, {len(found.patch_mean)} dimensions")


if __name__ == "__main__":
    run_stage(main)
