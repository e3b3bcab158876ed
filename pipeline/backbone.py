"""Stage ``backbone``: params ``backbone`` → data/backbone/{spec.json,weights.safetensors}."""

from __future__ import annotations

from pathlib import Path

from fedmvp.clip.conversion import import_backbone
from fedmvp.config import load_params
from fedmvp.paths import BACKBONE
from pipeline.support.stage import run_stage


def main() -> None:
    """Import the CLIP model once; later stages read its two files."""
    backbone = load_params().backbone
    weights = Path(backbone.weights) if backbone.weights else None
    spec = import_backbone(BACKBONE, backbone.name, backbone.pretrained, weights)
    vision = spec.vision
    print(
        f"{spec.name}: ViT of width {vision.width}, depth {vision.layers}, patch "
        f"{vision.patch_size} on {vision.image_size} px"
    )


if __name__ == "__main__":
    run_stage(main)
