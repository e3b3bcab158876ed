"""A toy dataset whose images show any number of classes, and one none at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedmvp.catalog.spec import SentenceSpec
from fedmvp.data.image import Image
from fedmvp.data.manifest import Manifest, SplitOrigin
from tests.toys import NAMES

SEEN, UNSEEN = NAMES[:6], NAMES[6:]


def label_sets(count: int, classes: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Return one to three labels for each image; neighbouring labels come together."""
    draw = np.random.default_rng(seed)
    sets = []
    for number in range(count):
        centre = number % classes
        size = int(draw.integers(1, 4))
        sets.append(tuple(sorted({(centre + int(step)) % classes for step in range(size)})))
    return sets


def multi_manifest(
    train: int = 48,
    test: int = 24,
    unseen: Sequence[str] = UNSEEN,
    dataset: str = "toys",
    more: Sequence[Image] = (),
) -> Manifest:
    """Return a manifest of `NAMES`; training images show seen classes only."""
    seen = [NAMES.index(name) for name in NAMES if name not in unseen]
    shown = [tuple(sorted(seen[k] for k in part)) for part in label_sets(train, len(seen))]
    tested = label_sets(test, len(NAMES), seed=1)
    images = [
        *(
            Image(f"{dataset}/train/{n:03d}", f"train/{n:03d}", part, "default", "train")
            for n, part in enumerate(shown)
        ),
        *(
            Image(f"{dataset}/test/{n:03d}", f"test/{n:03d}", part, "default", "test")
            for n, part in enumerate(tested)
        ),
        *more,
    ]
    return Manifest(
        dataset=dataset,
        title="Toys",
        template="a photo of a {}.",
        sentence=SentenceSpec(prefix="a photo of a"),
        split=SplitOrigin("official", "official lists"),
        subset=False,
        classes=NAMES,
        domains=("default",),
        images=tuple(sorted(images, key=lambda image: image.path)),
        content="toys",
        task="multi",
        unseen=tuple(unseen),
    )
