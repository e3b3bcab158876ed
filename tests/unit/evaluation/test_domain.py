"""Photographs are told from drawings on plain grounds by their pixels."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fedmvp.clip import packaged
from fedmvp.errors import BackboneError
from fedmvp.evaluation.domain import DOMAIN_FILE, Domain, domain_of, foreign_to, plain_shares
from tests.paths import ROOT

PICTOCLIP = SimpleNamespace(name="pictoclip", pretrained=None)
SIZE = 64


def drawings(style: str, count: int = 40) -> NDArray[np.uint8]:
    """Return shipped drawings of a style, on white."""
    images = []
    with zipfile.ZipFile(ROOT / "data/emoji/objects.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.startswith(f"{style}/")]
        for name in names[::3][:count]:
            drawing = Image.open(io.BytesIO(archive.read(name))).convert("RGBA")
            ground = Image.new("RGBA", drawing.size, "white")
            ground.alpha_composite(drawing)
            images.append(np.asarray(ground.convert("RGB").resize((SIZE, SIZE))))
    return np.stack(images)


def photographs(count: int = 40) -> NDArray[np.uint8]:
    """Return crops of the two photographs that scikit-learn ships."""
    import sklearn

    folder = Path(sklearn.__file__).parent / "datasets/images"
    draw, images = np.random.default_rng(0), []
    for number in range(count):
        picture = Image.open(folder / ("china.jpg", "flower.jpg")[number % 2]).convert("RGB")
        side = int(draw.integers(200, 420))
        left, top = (int(draw.integers(0, whole - side + 1)) for whole in picture.size)
        part = picture.crop((left, top, left + side, top + side))
        images.append(np.asarray(part.resize((SIZE, SIZE), Image.Resampling.BICUBIC)))
    return np.stack(images)


def known() -> Domain:
    domain = domain_of(PICTOCLIP)
    assert domain is not None
    return domain


@pytest.mark.parametrize(
    "style", ["twemoji", "noto", "openmoji", "fluent-emoji", "fluent-emoji-high-contrast"]
)
def test_drawings_of_every_style_are_at_home(style: str) -> None:
    images = drawings(style)
    assert foreign_to(images, known()) is None
    alone = [foreign_to(image[None], known()) for image in images]
    assert sum(found is not None for found in alone) <= 0.1 * len(images)


@pytest.mark.slow  # imports scikit-learn
def test_photographs_are_not_and_the_way_out_is_named() -> None:
    images = photographs()
    found = foreign_to(images, known())
    assert found is not None
    assert "images look like photographs, and pictoclip knows drawings on plain grounds" in found
    assert "ViT-B-16-quickgelu with backbone.pretrained openai" in found
    alone = [foreign_to(image[None], known()) for image in images]
    assert sum(found is not None for found in alone) >= 0.85 * len(images)
    mixed = np.concatenate([images[:10], drawings("noto")[:10]])
    assert foreign_to(mixed, known()) is None


def test_shares_are_counted_patch_by_patch() -> None:
    images = np.zeros((2, 20, 20, 3), dtype=np.uint8)
    images[0, 0, 0] = 255  # one of the four whole patches has two tones
    images[1, 17, 17] = 255  # beyond the last whole patch
    assert plain_shares(images, 8).tolist() == [0.75, 1.0]


@pytest.mark.parametrize(
    ("name", "tag", "weights"),
    [("ViT-B-32", None, None), ("pictoclip", "local", None), ("pictoclip", None, "own.pt")],
)
def test_of_other_weights_nothing_is_known(name: str, tag: str | None, weights: str | None) -> None:
    assert domain_of(SimpleNamespace(name=name, pretrained=tag), weights=weights) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"backbone": "pictoclip"}'])
def test_a_damaged_record_is_one_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights/pictoclip" / DOMAIN_FILE
    file.parent.mkdir(parents=True)
    file.write_text(text)
    monkeypatch.setattr(packaged.resources, "files", lambda _: tmp_path)
    with pytest.raises(BackboneError, match=r"domain.json: not a backbone's domain.*git checkout"):
        domain_of(PICTOCLIP)
