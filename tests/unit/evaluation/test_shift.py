"""How far images lie from a reference, against plain loops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fedmvp.catalog.cameras import Camera
from fedmvp.clip import packaged
from fedmvp.clip.backbone import Backbone
from fedmvp.clip.open_clip_models import PICTOCLIP
from fedmvp.data.capture import photograph
from fedmvp.errors import BackboneError
from fedmvp.evaluation.shift import (
    Moments,
    brightness,
    contrast,
    distance,
    image_statistics,
    pixel_words,
    pooled,
)
from fedmvp.evaluation.shift_reference import REFERENCE_FILE, Recorded, load_reference, recorded
from tests.paths import ROOT

PACKAGED = ROOT / "fedmvp/clip/weights" / PICTOCLIP / REFERENCE_FILE
CAMERA = Camera(exposure=0.5, cast=(1, 0.9, 0.75), noise=0.05, blur=0.6)


def drawings(count: int = 6, size: int = 32) -> NDArray[np.uint8]:
    """Return shapes on white ground."""
    draw = np.random.default_rng(3)
    images = np.full((count, size, size, 3), 255, dtype=np.uint8)
    for image in images:
        top, left = draw.integers(2, size // 2, 2)
        image[top : top + 12, left : left + 10] = draw.integers(0, 200, 3)
    return images


def moments(*pairs: tuple[float, float]) -> Moments:
    return Moments(*(np.array(column) for column in zip(*pairs, strict=True)))


def test_statistics_are_those_of_every_patch(tiny: Backbone) -> None:
    """Each patch by itself, in float64: its pixels times the filter."""
    images = drawings(37)  # more than a batch, and no multiple of one
    found = image_statistics(tiny, images)
    weight = tiny.vision.conv1.weight.detach().double().numpy()
    mean, std = np.array(tiny.spec.mean), np.array(tiny.spec.std)
    patches = []
    for image in images:
        normal = ((image / 255 - mean) / std).transpose(2, 0, 1)
        for row in range(0, 32, 8):
            for column in range(0, 32, 8):
                patch = normal[:, row : row + 8, column : column + 8]
                patches.append([float((kernel * patch).sum()) for kernel in weight])
    assert found.images == 37
    np.testing.assert_allclose(found.patches.mean, np.mean(patches, axis=0), atol=1e-5)
    np.testing.assert_allclose(found.patches.std, np.std(patches, axis=0), atol=1e-5)
    np.testing.assert_allclose(found.pixels.mean, images.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(found.pixels.std, images.std(axis=(0, 1, 2)))


def test_distance_by_hand() -> None:
    reference = moments((1.0, 2.0), (0.0, 0.5))
    assert distance(reference, reference) == 0
    # ((3 - 1)² + (2 - 2)²) / 2² = 1 and ((0 - 0)² + (1 - 0.5)²) / 0.5² = 1.
    assert distance(moments((3.0, 2.0), (0.0, 1.0)), reference) == 1
    # Whatever the unit of a dimension.
    larger = moments((100.0, 200.0), (0.0, 0.5))
    assert distance(moments((300.0, 200.0), (0.0, 1.0)), larger) == 1


def test_equal_images_have_no_shift_and_darker_ones_more_and_more(tiny: Backbone) -> None:
    clean = drawings()
    reference = image_statistics(tiny, clean)
    assert distance(image_statistics(tiny, clean).patches, reference.patches) == 0
    shifts = []
    for severity in (0.35, 0.7, 1.0):
        camera = CAMERA.at(severity)
        seen = [photograph(image, camera, f"own/{i}") for i, image in enumerate(clean)]
        found = image_statistics(tiny, np.stack(seen))
        shifts.append(distance(found.patches, reference.patches))
        assert brightness(found.pixels) < brightness(reference.pixels)
    assert 0 < shifts[0] < shifts[1] < shifts[2]


def test_groups_together_are_all_their_images(tiny: Backbone) -> None:
    images = drawings(9)
    images[4:] //= 2
    parts = [image_statistics(tiny, images[:4]), image_statistics(tiny, images[4:])]
    found = pooled([(4.0, parts[0]), (5.0, parts[1])])
    whole = image_statistics(tiny, images)
    assert found.images == 9
    for kind in ("patches", "pixels"):
        assert distance(getattr(found, kind), getattr(whole, kind)) < 1e-12
    # Weights count, not the sample behind them.
    doubled = pooled([(8.0, parts[0]), (10.0, parts[1])])
    assert np.allclose(doubled.patches.std, whole.patches.std)


def test_constant_images_have_statistics(tiny: Backbone) -> None:
    black = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    found = image_statistics(tiny, black)
    assert not found.patches.std.round(6).any() and not found.pixels.mean.any()
    assert "darker" in pixel_words(found.pixels, moments((9, 1), (9, 1), (9, 1)))


def test_pixels_in_words() -> None:
    reference = moments((200, 80), (200, 80), (200, 80))
    found = moments((120, 40), (100, 40), (80, 40))
    assert (brightness(found), contrast(found)) == (100, 40)
    assert pixel_words(found, reference) == (
        "darker (mean 100 of 255, reference 200), less contrast (standard deviation 40, reference "
        "80), colour balance red +20%, green +0%, blue -20%"
    )
    assert pixel_words(reference, found).startswith("brighter (")
    assert "as bright (" in pixel_words(reference, reference)
    assert "like contrast (" in pixel_words(reference, reference)


def test_pictoclip_has_a_reference(picto: Backbone) -> None:
    record = Recorded.model_validate_json(PACKAGED.read_text(encoding="utf-8"))
    assert record.backbone == PICTOCLIP
    spec = picto.spec.model_copy(update={"name": PICTOCLIP, "tower_sha256": record.tower_sha256})
    reference = load_reference(spec)
    assert reference.patches is not None
    assert reference.patches.mean.shape == reference.patches.std.shape == (spec.vision.width,)
    assert reference.source == record.source and "which do not ship" in record.source
    # Other weights of that name have none.
    assert load_reference(picto.spec.model_copy(update={"name": PICTOCLIP})).patches is None


@pytest.mark.parametrize("name", ["tiny", "ViT-B-16-quickgelu", "../weights/pictoclip", "", "."])
def test_a_backbone_without_a_reference_has_its_own_constants(tiny: Backbone, name: str) -> None:
    reference = load_reference(tiny.spec.model_copy(update={"name": name}))
    assert reference.patches is None
    np.testing.assert_allclose(reference.pixels.mean, 255 * np.array(tiny.spec.mean))
    np.testing.assert_allclose(reference.pixels.std, 255 * np.array(tiny.spec.std))
    assert "normalises pixels with" in reference.source


def test_what_is_recorded_is_read_again(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights/tiny" / REFERENCE_FILE
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(packaged.resources, "files", lambda _: tmp_path)
    found = image_statistics(tiny, drawings())
    record = recorded(tiny.spec, found, "drawings of a test").model_dump(mode="json")
    file.write_text(json.dumps(record), encoding="utf-8")
    reference = load_reference(tiny.spec)
    assert reference.patches is not None and reference.source == "drawings of a test"
    assert distance(found.patches, reference.patches) < 1e-10
    for spoiled in (
        {**record, "patch_std": [0.0, *record["patch_std"][1:]]},
        {**record, "patch_std": record["patch_std"][1:]},
        {**record, "pixel_mean": ["dark", 1, 2]},
        {key: value for key, value in record.items() if key != "source"},
        [],
    ):
        file.write_text(json.dumps(spoiled), encoding="utf-8")
        with pytest.raises(BackboneError, match=r"not a backbone's patch statistics.*git checkout"):
            load_reference(tiny.spec)
