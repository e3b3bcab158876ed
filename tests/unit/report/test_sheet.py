"""What the sites see: one picture within the page, for studies whose domains have cameras."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmvp.catalog.cameras import Camera
from fedmvp.catalog.spec import SentenceSpec
from fedmvp.data.manifest import Image as Entry
from fedmvp.data.manifest import Manifest, SplitOrigin
from fedmvp.errors import DataError
from fedmvp.report import ContactSheet, build
from pipeline.support.contact_sheet import site_sheet
from tests.unit.report.html_checker import check
from tests.unit.report.making import EMOJI
from tests.unit.report.synthetic import World

WORLD = World(settings=("base_to_new",), seeds=(1,), rounds=1, datasets={"animals": 20})


def page(root: Path, sheet: ContactSheet | None) -> str:
    results, partitions = WORLD.write(root)
    build(results, partitions, root / "report", EMOJI, sheet=sheet)
    return (root / "report/index.html").read_text()


def picture(text: str) -> Image.Image:
    """Return the picture of the page's only <img>."""
    (part,) = text.split('<img class="sheet" src="data:image/png;base64,')[1:]
    return Image.open(io.BytesIO(base64.b64decode(part.split('"')[0])))


def test_the_sheet_is_in_the_page_with_its_words(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20), (10, 20, 30))
    text = page(tmp_path, ContactSheet(image, "Before <b>and</b> after", 'Four "rows"'))
    checker = check(text)
    assert "Before <b>and</b> after" in "".join(checker.text)
    assert 'alt="Four &#34;rows&#34;"' in text
    assert (picture(text).size, picture(text).getpixel((3, 3))) == ((30, 20), (10, 20, 30))
    assert "What the sites see" in text


def test_bytes_of_a_png_are_embedded_as_they_are(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (5, 7)).save(buffer, "PNG")
    text = page(tmp_path, ContactSheet(buffer.getvalue(), "c", "a"))
    assert base64.b64encode(buffer.getvalue()).decode() in text


def test_other_bytes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contact sheet: image is neither PNG nor JPEG"):
        page(tmp_path, ContactSheet(b"GIF89a", "c", "a"))
    assert not (tmp_path / "report").exists()


def test_without_a_sheet_there_is_no_trace(tmp_path: Path) -> None:
    text = page(tmp_path, None)
    check(text)
    assert "<img" not in text
    assert "What the sites see" not in text


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Return a red image in each of two domains, the second of which has a camera."""
    monkeypatch.setenv("FEDMVP_CACHE", str(tmp_path / "cache"))
    entries = []
    for domain in ("plain", "dark"):
        path = tmp_path / "toys" / domain / "dog.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (64, 64), (200, 0, 0)).save(path)
        entries.append(Entry(f"toys/{domain}/dog.png", f"{domain}/dog.png", (0,), domain, "train"))
    return Manifest(
        "toys",
        "Toys",
        "a {}.",
        SentenceSpec(prefix="a"),
        SplitOrigin("generated", "drawn"),
        False,
        ("dog",),
        ("plain", "dark"),
        tuple(entries),
        "content",
        {"dark": Camera(exposure=0.5, exposure_spread=0)},
    )


def test_a_study_with_cameras_has_a_sheet(toys: Manifest, tmp_path: Path) -> None:
    """Before and after the camera, although decoded images are cached."""
    without = replace(toys, capture={})
    for _ in range(2):
        sheet = site_sheet([without, toys], lambda dataset: tmp_path / dataset)
        assert sheet is not None
        assert isinstance(sheet.image, Image.Image)
        pixels = np.asarray(sheet.image).reshape(-1, 3)
        # Three images as they are (one has no camera to change it), one at half the light.
        assert [int((pixels == (value, 0, 0)).all(axis=1).sum()) for value in (200, 100)] == [
            3 * 64 * 64,
            64 * 64,
        ]
    assert sheet.caption.startswith("Toys. Before:")
    assert "plain, dark" in sheet.alt


def test_a_study_without_cameras_has_none(toys: Manifest, tmp_path: Path) -> None:
    assert site_sheet([replace(toys, capture={})], lambda dataset: tmp_path / dataset) is None
