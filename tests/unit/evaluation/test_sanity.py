"""Gates before an evaluation: labels, class names and texts one to one, splits kept apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedmvp.catalog.spec import SentenceSpec
from fedmvp.data.manifest import Image, Manifest, SplitOrigin
from fedmvp.errors import DataError
from fedmvp.evaluation.sanity import below_chance, check_inputs
from fedmvp.partition.model import Client, Partition, Target

CLASSES = ("red fox", "teapot", "kite")


def image(label: int, number: int, split: str) -> Image:
    path = f"{label}/{number}.png"
    return Image(f"toys/{path}", path, (label,), "default", split)  # type: ignore[arg-type]


MANIFEST = Manifest(
    dataset="toys",
    title="Toys",
    template="a {}.",
    sentence=SentenceSpec(prefix="a"),
    split=SplitOrigin("generated", ""),
    subset=False,
    classes=CLASSES,
    domains=("default",),
    images=tuple(
        image(label, number, split)
        for label in range(3)
        for number, split in enumerate(("train", "test"))
    ),
    content="0",
)
CLIENT = Client("toys-000", "main", "toys", None, CLASSES[:2], ("toys/0/0.png", "toys/1/0.png"))
TARGET = Target("toys", "main", "target", "toys", None, CLASSES, ("toys/0/1.png", "toys/2/1.png"))
PARTITION = Partition("toy", "transfer", "by_image", (CLIENT,), (TARGET,))


def test_sound_inputs_pass() -> None:
    check_inputs(PARTITION, {"toys": MANIFEST})


@pytest.mark.parametrize(
    ("client", "target", "complaint"),
    [
        ({"classes": CLASSES[1::-1]}, {}, "client toys-000: classes are not .* label order"),
        ({}, {"classes": ("red fox", "tea pot")}, "target toys: classes are not .* label order"),
        ({"classes": CLASSES[1:]}, {}, "client toys-000: .* none of the classes; got 'toys/0/0"),
        ({"train": ("toys/0/1.png",)}, {}, "image is in split 'test', not 'train'"),
        ({}, {"images": ("toys/2/0.png",)}, "target toys: image is in split 'train', not 'test'"),
        ({}, {"images": ("toys/9/9.png",)}, "no such image"),
    ],
)
def test_what_does_not_fit_is_named(
    client: dict[str, object], target: dict[str, object], complaint: str
) -> None:
    partition = replace(
        PARTITION, clients=(replace(CLIENT, **client),), targets=(replace(TARGET, **target),)
    )
    with pytest.raises(DataError, match=complaint):
        check_inputs(partition, {"toys": MANIFEST})


def test_split_by_domain_leaves_image_splits_alone() -> None:
    swapped = replace(TARGET, images=("toys/2/0.png",))
    check_inputs(replace(PARTITION, split="by_domain", targets=(swapped,)), {"toys": MANIFEST})


def test_two_classes_that_read_the_same_are_refused() -> None:
    classes = ("red fox", "Red_Fox", "kite")
    with pytest.raises(DataError, match=r"dataset toys: .*read the same: 'red fox', 'Red_Fox'"):
        check_inputs(PARTITION, {"toys": replace(MANIFEST, classes=classes)})


@pytest.mark.parametrize(
    ("classes", "images", "accuracy", "flagged"),
    [
        (10, 100, 0.10, False),
        (10, 100, 0.02, False),  # chance 0.1, standard error 0.03: within three of them
        (10, 100, 0.00, True),
        (2, 10_000, 0.48, True),
        (2, 10_000, 0.49, False),
        (1, 5, 1.0, False),
    ],
)
def test_chance(classes: int, images: int, accuracy: float, flagged: bool) -> None:
    row = {
        "fold": "main",
        "group": "base",
        "name": "a",
        "dataset": "toys",
        "classes": str(classes),
        "images": images,
        "accuracy": repr(accuracy),
    }
    found = below_chance([row])
    assert bool(found) == flagged
    if flagged:
        assert "base a (toys)" in str(found[0])
        assert f"{100 / classes:.2f} %" in str(found[0])
