from __future__ import annotations

from collections.abc import Callable

import pytest

from fedmvp.catalog.spec import SentenceSpec
from fedmvp.data.manifest import Image, Manifest, SplitOrigin

MakeManifest = Callable[..., Manifest]


@pytest.fixture
def make_manifest() -> MakeManifest:
    """Make a manifest with `images` per class and domain, every other one for test."""

    def make(
        dataset: str,
        classes: int,
        domains: tuple[str, ...] = ("default",),
        images: int = 4,
        missing: frozenset[tuple[int, str]] = frozenset(),
    ) -> Manifest:
        rows = [
            Image(
                id=f"{dataset}/{domain}/{label}/{number}.png",
                path=f"{domain}/{label}/{number}.png",
                labels=(label,),
                domain=domain,
                split="train" if (number + position) % 2 == 0 else "test",
            )
            for label in range(classes)
            for position, domain in enumerate(domains)
            for number in range(images)
            if (label, domain) not in missing
        ]
        names = tuple(f"{dataset} {label}" for label in range(classes))
        return Manifest(
            dataset=dataset,
            title=dataset,
            template="a photo of a {}.",
            sentence=SentenceSpec(prefix="a photo of a"),
            split=SplitOrigin("generated", "every other image"),
            subset=False,
            classes=names,
            domains=domains,
            images=tuple(rows),
            content="0",
        )

    return make
