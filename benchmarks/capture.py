"""What a camera costs: decoding embedded images through it against decoding alone, interleaved.

    python -m benchmarks.capture

prints one line per image size: processor time an image with and without the camera of its domain,
on one thread, and their ratio. Images are decoded once and kept, so this is paid once per dataset,
size and severity.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.capture import photograph
from fedmvp.data.decode import decode_image
from fedmvp.data.images import raw_folder
from fedmvp.data.manifest import Image, Manifest
from fedmvp.profiling.timing import measure

_SIZES_PX = (64, 224)


def decoding(
    base: Path, images: Sequence[Image], side: int, seen: Manifest | None
) -> Callable[[], None]:
    """Return a run over all images, through the cameras of a manifest where one is given."""

    def run() -> None:
        for image in images:
            pixels = decode_image(base / image.path, side)
            if seen is not None:
                photograph(pixels, seen.capture[image.domain], image.id)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="animals")
    parser.add_argument("--severity", type=float, default=0.7)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    seen = build_manifest(load_spec(options.dataset), 1, options.severity)
    base = raw_folder(options.dataset)
    images = [image for image in seen.images if image.domain in seen.capture][: options.images]
    runs = {
        f"{name} {side}": decoding(base, images, side, manifest)
        for side in _SIZES_PX
        for name, manifest in (("plain", None), ("camera", seen))
    }
    costs = measure(runs, options.repetitions, torch.device("cpu"))
    for side in _SIZES_PX:
        plain, camera = (costs[f"{name} {side}"].cpu_seconds for name in ("plain", "camera"))
        print(
            f"{side:3d} px: {1000 * plain / len(images):.2f} ms an image, "
            f"{1000 * camera / len(images):.2f} ms with its camera: {camera / plain:.1f} times"
        )


if __name__ == "__main__":
    main()
