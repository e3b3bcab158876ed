"""What PictoCLIP sees in the emoji scenes before any training: zero-shot mAP, by how it looks.

    python -m benchmarks.scenes_zero_shot

prints a row for each population of test scenes: mAP with the whole scene at the model's size
(`image`) and with the best of its four quarters (`tiles`), with the mean share of scenes that show
a class beside it, which a random order would score. Needs the stage backbone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fedmvp.catalog.spec import load_spec
from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.data.build import build_manifest
from fedmvp.data.images import load_images
from fedmvp.data.manifest import Manifest
from fedmvp.devices import prepare_device
from fedmvp.evaluation.average_precision import average_precisions, mean_average_precision
from fedmvp.evaluation.multilabel import prevalence
from fedmvp.paths import BACKBONE
from pipeline.support.stage import run_stage

DATASET = "scenes"
_BATCH = 64


@dataclass(frozen=True)
class Population:
    """Test scenes of one kind and the classes they are scored on."""

    name: str
    ids: list[str]
    classes: tuple[str, ...]


def populations(manifest: Manifest) -> list[Population]:
    """Return the sites' test scenes, those of unseen classes, of all, and in high contrast."""
    domains = {
        "seen (sites)": ([d for d in manifest.domains if d.startswith("site-")], manifest.seen),
        "zsl": (["zsl"], manifest.unseen),
        "gzsl": (["gzsl"], manifest.classes),
        "high-contrast": (["high-contrast"], manifest.seen),
    }
    return [
        Population(
            name,
            [i.id for i in manifest.images if i.split == "test" and i.domain in chosen],
            classes,
        )
        for name, (chosen, classes) in domains.items()
    ]


def quarters(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the four quarters of each image, [N, 4, S, S, 3] of [N, 2S, 2S, 3]."""
    side = pixels.shape[1] // 2
    parts = [
        pixels[:, top : top + side, left : left + side] for top in (0, side) for left in (0, side)
    ]
    return np.stack(parts, axis=1)


def similarities(
    backbone: Backbone, views: NDArray[np.uint8], texts: torch.Tensor
) -> NDArray[np.float32]:
    """Return the best cosine of an image's views with each text, [N, K] of [N, V, S, S, 3]."""
    flat = views.reshape(-1, *views.shape[2:])
    batches = (
        backbone.normalise(flat[start : start + _BATCH]) for start in range(0, len(flat), _BATCH)
    )
    cosines = backbone.frozen_features(batches) @ texts.T
    best: NDArray[np.float32] = (
        cosines.view(len(views), views.shape[1], -1).amax(dim=1).cpu().numpy()
    )
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--capture", type=float, default=0.0, help="severity of the cameras")
    options = parser.parse_args()
    spec = load_spec(DATASET)
    manifest = build_manifest(spec, 1, options.capture)
    backbone = load_backbone(BACKBONE, device=prepare_device())
    size = backbone.spec.vision.image_size
    print(f"{'scenes':14} number prevalence   image   tiles tiles/prevalence")
    for one in populations(manifest):
        texts = backbone.encode_texts([spec.template.format(name) for name in one.classes])
        labels = manifest.label_matrix(one.ids, one.classes)
        whole = load_images(manifest, one.ids, size, "test")[:, np.newaxis]
        tiles = quarters(load_images(manifest, one.ids, 2 * size, "test"))
        values = [
            mean_average_precision(average_precisions(similarities(backbone, views, texts), labels))
            for views in (whole, tiles)
        ]
        chance = prevalence(labels)
        print(
            f"{one.name:14} {len(one.ids):6} {chance:10.1%} {values[0]:7.1%} {values[1]:7.1%} "
            f"{values[1] / chance:16.1f}"
        )


if __name__ == "__main__":
    run_stage(main)
