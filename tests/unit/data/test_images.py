from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.decode import decode_image
from fedmvp.data.images import load_images
from fedmvp.data.manifest import Manifest
from fedmvp.data.sources import ensure_raw
from fedmvp.errors import DataError, SourceError


def _gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def _save(image: Image.Image, path: Path, kind: str, **options: Any) -> Path:
    image.save(path, kind, **options)
    return path


@pytest.fixture
def manifest(toy: Any) -> Manifest:
    toy()
    return build_manifest(load_spec("toy"), 1)


def test_cache_equals_direct_decoding() -> None:
    spec = load_spec("activities")
    activities = build_manifest(spec, 1)
    test = [i for i in activities.images if i.split == "test"][:40]
    ids = [image.id for image in test]
    first = load_images(activities, ids, 64, "test")
    again = load_images(activities, ids, 64, "test")
    root = ensure_raw(spec)
    direct = np.stack([decode_image(root / image.path, 64) for image in test])
    assert isinstance(again, np.memmap)
    assert first.shape == (40, 64, 64, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, direct)
    np.testing.assert_array_equal(again, direct)
    np.testing.assert_array_equal(load_images(activities, ids[::-1], 64, "test"), direct[::-1])
    assert load_images(activities, ids[:3], 32, "test").shape == (3, 32, 32, 3)
    assert load_images(activities, [], 64, "test").shape == (0, 64, 64, 3)


def test_training_never_reads_a_test_image(manifest: Manifest) -> None:
    test = next(image.id for image in manifest.images if image.split == "test")
    with pytest.raises(DataError, match="not in split 'train' but in 'test'"):
        load_images(manifest, [test], 8, "train")
    assert load_images(manifest, [test], 8, "all").shape == (1, 8, 8, 3)


def test_changes_stay_private(manifest: Manifest) -> None:
    ids = [image.id for image in manifest.images]
    images = load_images(manifest, ids, 8, "all")
    images[:] = 7
    assert load_images(manifest, ids, 8, "all").max() == 255


def test_raw_images_are_needed_once_and_come_back(
    manifest: Manifest, machine: Path, toy: Any
) -> None:
    ids = [image.id for image in manifest.images]
    expected = load_images(manifest, ids, 8, "all")
    shutil.rmtree(machine / "raw")
    np.testing.assert_array_equal(load_images(manifest, ids, 8, "all"), expected)
    assert not (machine / "raw").exists()
    assert load_images(manifest, ids[:1], 8, "all").shape == (1, 8, 8, 3)
    assert (machine / "raw" / "toy").is_dir()
    shutil.rmtree(machine / "raw")
    shutil.rmtree(machine / "cache")
    (machine / "toy.zip").unlink()
    with pytest.raises(SourceError, match=r"toy\.zip"):
        load_images(manifest, ids, 8, "all")


def test_a_damaged_cache_is_rebuilt(manifest: Manifest, machine: Path) -> None:
    ids = [image.id for image in manifest.images]
    expected = np.array(load_images(manifest, ids, 8, "all"))
    (file,) = (machine / "cache").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:150])
    np.testing.assert_array_equal(load_images(manifest, ids, 8, "all"), expected)


def test_a_failed_decoding_leaves_no_cache(manifest: Manifest, machine: Path) -> None:
    damaged = machine / "raw" / "toy" / "photo" / "dog" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(DataError, match=r"photo/dog/1\.png"):
        load_images(manifest, [image.id for image in manifest.images], 8, "all")
    assert not [path for path in (machine / "cache").rglob("*") if path.is_file()]


def test_resize_and_crop_follow_clip(tmp_path: Path) -> None:
    # 33 x 20: the short side becomes 16, the long one int(26.4); 10 columns are cut off.
    image = _gradient(33, 20)
    got = decode_image(_save(image, tmp_path / "a.png", "PNG"), 16)
    resized = image.resize((26, 16), Image.Resampling.BICUBIC).crop((5, 0, 21, 16))
    np.testing.assert_array_equal(got, np.asarray(resized))
    tall = decode_image(_save(_gradient(20, 33), tmp_path / "b.png", "PNG"), 16)
    assert tall.shape == (16, 16, 3)
    same = _save(_gradient(16, 16), tmp_path / "c.png", "PNG")
    np.testing.assert_array_equal(decode_image(same, 16), np.asarray(_gradient(16, 16)))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "RGBA", "LA", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (12, 12), (200, 200, 200))
    image.paste((50, 50, 50), (0, 0, 6, 12))
    if mode == "I;16":
        other = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        other = image.convert(mode, dither=Image.Dither.NONE)
    # The name lies for all but CMYK, as in Oxford-IIIT Pets (its `notes`).
    kind = "JPEG" if mode == "CMYK" else "PNG"
    got = decode_image(_save(other, tmp_path / "image.jpg", kind, quality=100), 12)
    assert got.shape == (12, 12, 3) and got.dtype == np.uint8
    expected = (0, 255) if mode == "1" else (50, 200)
    np.testing.assert_allclose(got[6, [1, 10]].mean(axis=1), expected, atol=5)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    path = _save(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), tmp_path / "a.png", "PNG")
    assert decode_image(path, 8).min() == 255
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0])
    path = _save(palette, tmp_path / "b.png", "PNG", transparency=0)
    assert decode_image(path, 8).min() == 255


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = _save(image, tmp_path / "a.jpg", "JPEG", exif=exif, quality=100)
    upright = decode_image(path, 16)
    assert upright[:, 12].mean() > 250 and upright[:, 3].mean() < 5


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.9])
def test_truncated_images_are_one_clear_error(tmp_path: Path, kind: str, keep: float) -> None:
    buffer = io.BytesIO()
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    path = tmp_path / "image.png"
    path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * keep)])
    with pytest.raises(DataError, match=r"image\.png: image cannot be decoded"):
        decode_image(path, 16)


def test_missing_image_and_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="image is missing"):
        decode_image(tmp_path / "none.png", 16)
    path = _save(_gradient(40, 40), tmp_path / "bomb.png", "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"bomb\.png"):
        decode_image(path, 16)
