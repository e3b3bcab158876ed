"""Formats: what Pillow and its plug-in for HEIC read, and what is said without it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fedmvp.data import formats
from fedmvp.data.decode import check_image, decode_image
from fedmvp.data.marker import MARKER
from fedmvp.data.readers.image_files import is_image
from fedmvp.errors import DataError
from tests.paths import ROOT


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plug-in for HEIC that is installed; its files are PNGs in disguise."""
    module: Any = ModuleType("pillow_heif")
    module.register_heif_opener = lambda: Image.register_open(
        "HEIF", PngImagePlugin.PngImageFile, lambda head: head.startswith(b"\x89PNG")
    )
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    monkeypatch.setattr(formats, "find_spec", lambda name: ModuleSpec(name, None))
    formats.readable_formats.cache_clear()
    yield
    Image.OPEN.pop("HEIF")
    Image.ID.remove("HEIF")
    formats.readable_formats.cache_clear()


@pytest.fixture
def no_plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the plug-in."""
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    formats.readable_formats.cache_clear()
    yield
    formats.readable_formats.cache_clear()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jfif", "JPEG"),
        ("a.ppm", "PPM"),
        ("a.pgm", "PPM"),
        ("a.jp2", "JPEG2000"),
        ("a.avif", "AVIF"),
        ("a.webp", "WEBP"),
        ("a.TIF", "TIFF"),
    ],
)
def test_what_pillow_reads_is_read(tmp_path: Path, name: str, kind: str) -> None:
    mode = "L" if name.endswith("pgm") else "RGB"
    Image.new("RGB", (20, 16), (200, 200, 200)).convert(mode).save(tmp_path / name, kind)
    assert is_image(name)
    check_image(tmp_path / name)
    np.testing.assert_allclose(decode_image(tmp_path / name, 8), 200, atol=3)


def test_pgm_of_16_bits_is_scaled(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5\n8 8\n65535\n" + np.full(64, 0x8000, dtype=">u2").tobytes())
    assert decode_image(path, 8)[0, 0, 0] == 128


@pytest.mark.usefixtures("plugin")
def test_heic_is_read_with_its_plugin(tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.HEIC"
    Image.new("RGB", (20, 16), "red").save(path, "PNG")
    assert formats.readable_formats()[-1] == "HEIF" and not formats.needs_plugin(path.name)
    assert decode_image(path, 8)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.usefixtures("no_plugin")
def test_heic_without_its_plugin_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic")
    assert is_image(path.name)
    with pytest.raises(
        DataError, match="need a plug-in of Pillow; hint: `pip install pillow-heif`"
    ):
        decode_image(path, 8)


def test_large_photographs_are_read_without_a_warning(tmp_path: Path) -> None:
    Image.new("RGB", (25, 20), "red").save(tmp_path / "a.png")
    code = (
        "from PIL import Image; from pathlib import Path; Image.MAX_IMAGE_PIXELS = 300\n"
        "from fedmvp.data.decode import decode_image; print(decode_image(Path('a.png'), 8).shape)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("(8, 8, 3)\n", "")


@pytest.mark.parametrize("fetched", [True, False])
def test_nobody_is_told_to_give_images_up(tmp_path: Path, fetched: bool) -> None:
    folder = tmp_path / "birds"
    (folder / "wren").mkdir(parents=True)
    (folder / "wren/0.png").write_bytes(b"x")
    if fetched:
        (folder / MARKER).write_text("{}")
    with pytest.raises(DataError) as caught:
        decode_image(folder / "wren/0.png", 8)
    assert "remove" not in caught.value.hint and "delete" not in caught.value.hint
    assert (f"rename {folder} to have it fetched once more" in caught.value.hint) is fetched
