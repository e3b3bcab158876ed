"""Contact sheets: what stands where, and that labels never run into each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from fedmvp.catalog.spec import load_spec
from fedmvp.data import contact_sheet as sheets
from fedmvp.data.build import build_manifest
from fedmvp.data.contact_sheet import contact_sheet
from fedmvp.data.images import load_images
from fedmvp.data.manifest import Image as Entry
from fedmvp.data.manifest import Manifest

from .conftest import png, zip_bytes

CAMERA = {"exposure": 0.5, "exposure_spread": 0}


def places(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of all pixels of one colour."""
    y, x = np.nonzero((np.asarray(sheet) == colour).all(axis=-1))
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


@pytest.fixture
def manifests(toy: Any) -> tuple[Manifest, Manifest]:
    """Two domains and two classes, of which one is not in the first domain."""
    files = {
        "photo/dog/1.png": png("red"),
        "sketch/dog/1.png": png("lime"),
        "sketch/big-cat/1.png": png("blue"),
    }
    toy(zip_bytes(files), capture={"photo": CAMERA, "sketch": CAMERA})
    spec = load_spec("toy")
    return build_manifest(spec, 1), build_manifest(spec, 1, 1)


def test_classes_are_rows_before_and_after(manifests: tuple[Manifest, Manifest]) -> None:
    clean, seen = manifests
    sheet = contact_sheet(clean, seen, cell_px=80)
    colours = [(255, 0, 0), (128, 0, 0), (0, 255, 0), (0, 128, 0), (0, 0, 255), (0, 0, 128)]
    boxes = [places(sheet, colour) for colour in colours]
    assert all((box[2] - box[0], box[3] - box[1]) == (80, 80) for box in boxes)
    red, dark_red, green, dark_green, blue, dark_blue = boxes
    assert red[0] == dark_red[0] < green[0] == dark_green[0] == blue[0] == dark_blue[0]
    # The big cat comes first, and the dog's images stand in one row.
    assert blue[1] < dark_blue[1] < red[1] == green[1] < dark_red[1] == dark_green[1]
    # No photo of a big cat: white from the first column to the second.
    missing = np.asarray(sheet)[blue[1] : dark_blue[3], red[0] : blue[0]]
    assert missing.min() == 255


def test_the_same_every_time(manifests: tuple[Manifest, Manifest]) -> None:
    first, second = (contact_sheet(*manifests, cell_px=16) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.mode == "RGB"


def test_without_cameras_a_class_is_one_row(manifests: tuple[Manifest, Manifest]) -> None:
    clean, seen = manifests
    one, two = contact_sheet(clean, clean, cell_px=80), contact_sheet(clean, seen, cell_px=80)
    assert one.width < two.width and one.height < two.height
    assert places(one, (255, 0, 0))[2] - places(one, (255, 0, 0))[0] == 80
    assert not (np.asarray(one) == (128, 0, 0)).all(axis=-1).any()


def test_without_domains(toy: Any) -> None:
    toy(
        domains=None,
        sentence={"prefix": "a"},
        layout={"reader": "class_folders", "folder": "photo"},
        capture={"default": CAMERA},
    )
    spec = load_spec("toy")
    sheet = contact_sheet(build_manifest(spec, 1), build_manifest(spec, 1, 1))
    assert places(sheet, (255, 0, 0))[0] == places(sheet, (128, 0, 0))[0]


def test_a_train_image_is_preferred(
    manifests: tuple[Manifest, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def spy(manifest: Manifest, ids: list[str], *others: Any) -> Any:
        shown.extend(ids)
        return load_images(clean, [clean.images[0].id] * len(ids), *others)

    monkeypatch.setattr(sheets, "load_images", spy)
    clean, _ = manifests
    splits = ("test", "train", "val", "train", "test", "val")
    images = tuple(Entry(f"{n}", f"{n}", (n // 4,), "photo", s) for n, s in enumerate(splits))
    contact_sheet(replace(clean, images=images), replace(clean, images=images))
    assert shown == ["1", "4"]


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [6]), (2, [3, 8]), (4, [2, 4, 7, 9]), (10, [*range(1, 11)])]
)
def test_classes_are_spread_over_the_list(count: int, expected: list[int]) -> None:
    """Ten classes are in both domains, two in one."""
    entry = Entry("a", "a", (0,), "photo", "train")
    examples = {(label, "photo"): entry for label in range(12)}
    examples |= {(label, "sketch"): entry for label in range(1, 11)}
    assert sheets._spread(examples, count) == expected


def test_classes_of_fewer_domains_fill_up() -> None:
    entry = Entry("a", "a", (0,), "photo", "train")
    examples = {(0, "photo"): entry, (0, "sketch"): entry, (2, "photo"): entry}
    assert sheets._spread(examples, 2) == sheets._spread(examples, 9) == [0, 2]


def test_a_class_gives_way_to_one_of_a_domain_without_image() -> None:
    """As in the emoji scenes, where one domain shows unseen classes alone."""
    entry = Entry("a", "a", (0,), "photo", "train")
    examples = {(label, domain): entry for label in range(4) for domain in ("photo", "sketch")}
    examples |= {(7, "zsl"): entry, (8, "zsl"): entry, (8, "gzsl"): entry}
    assert sheets._spread(examples, 2) == [1, 3]
    assert sheets._in_every_domain(examples, [1, 3]) == [1, 8]
    # With one class nothing can give way without hiding what it shows.
    assert sheets._in_every_domain(examples, [1]) == [1]
    # Of classes that are needed, none gives way.
    needed = {(1, "photo"): entry, (2, "sketch"): entry, (3, "zsl"): entry}
    assert sheets._in_every_domain(needed, [1, 2]) == [1, 2]


@pytest.mark.parametrize(
    "name",
    [
        "fluent-emoji-high-contrast",
        "a domain with many words in its name",
        "x" * 300,
        "象" * 40,
        "snake_case_as_folders_have_it",
        "noto",
        "- - -",
        "wwwwwwwwwwwwwwwww wwwwwwwwww",
    ],
)
@pytest.mark.parametrize("most", [1, 2, 4])
def test_labels_keep_to_their_column(name: str, most: int) -> None:
    font = ImageFont.load_default(size=sheets._FONT_PX)
    lines = sheets._lines(name, 76, most, font)
    assert 1 <= len(lines) <= most
    assert all(font.getlength(line) <= 76 for line in lines)
    if not any(line.endswith("…") for line in lines):
        assert "".join(lines).replace(" ", "") == name.replace(" ", "")


def test_labels_of_domains_do_not_overlap(manifests: tuple[Manifest, Manifest]) -> None:
    """Each stands above its own column, with white before the next."""
    clean, _ = manifests
    domains = ("photographs_of_things", "W" * 60)
    rename = dict(zip(clean.domains, domains, strict=True))
    images = tuple(replace(image, domain=rename[image.domain]) for image in clean.images)
    renamed = replace(clean, domains=domains, images=images)
    pixels = np.asarray(contact_sheet(renamed, renamed, cell_px=16))
    left, top, *_ = places(Image.fromarray(pixels), (0, 255, 0))
    header = pixels[:top]
    assert (header[:, left - 4 : left] == 255).all()
    assert (header[:, :left] < 128).any() and (header[:, left:] < 128).any()
    assert (header[:, -4:] == 255).all()


def test_a_size_reaches_the_images(manifests: tuple[Manifest, Manifest], machine: Path) -> None:
    contact_sheet(*manifests, cell_px=24)
    assert {path.parent.name for path in (machine / "cache").rglob("*.npy")} == {"toy-24px"}
