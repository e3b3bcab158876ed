"""A folder that images and lists are written into, as an archive would have left it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["Folder"]

_SIDE_PX = 12


@dataclass(frozen=True)
class Folder:
    """The raw folder of one dataset."""

    root: Path

    def image(self, path: str, label: int, kind: str = "rgb") -> None:
        """Write a tiny image whose colours tell its label, whatever its name ends with."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_encoded(label % 61, kind))

    def lines(self, path: str, lines: Iterable[str]) -> None:
        """Write a list."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def mat(self, path: str, **arrays: Any) -> None:
        """Write a MATLAB file."""
        from scipy.io import savemat

        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        savemat(target, arrays)


@cache
def _encoded(number: int, kind: str) -> bytes:
    """Return a file: JPEG in a colour space, PNG whatever its name says, or rotated by EXIF."""
    pixels = np.random.default_rng(number).integers(0, 60, (_SIDE_PX, _SIDE_PX + 2, 3))
    pixels = pixels + np.array([40, 23, 67]) * number % 190
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    if kind == "rotated":
        exif[0x0112] = 6
    modes = {"grey": "L", "cmyk": "CMYK"}
    buffer = io.BytesIO()
    file_format = "PNG" if kind == "png" else "JPEG"
    image.convert(modes.get(kind, "RGB")).save(buffer, file_format, exif=exif)
    return buffer.getvalue()
