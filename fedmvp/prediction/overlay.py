"""A picture of which attributes an image's patches attend to, with Pillow alone.

One row per image: the image, the attribute each patch attends to most, and heat maps of the
attributes with the strongest single patch.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fedmvp.errors import printable
from fedmvp.heat_map import draw_heat_map
from fedmvp.prediction.predictor import Attended

__all__ = ["Explained", "draw_overlay", "fitted"]

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

_CELL_PX, _GAP_PX, _LINE_PX, _LINES = 192, 12, 15, 3
_HEATS, _COLOURS = 3, 6
# A colour-blind-safe palette (Okabe and Ito) for the patches' attributes, and grey for the rest.
_PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (0, 114, 178),
    (240, 228, 66),
)
_REST = (150, 150, 150)


@dataclass(frozen=True)
class Explained:
    """One image with what its patches attend to.

    Parameters
    ----------
    image : ndarray of shape [S, S, 3], uint8
        As the model sees it.
    title : str
        Two lines at most: the file and the predicted class.
    """

    image: NDArray[np.uint8]
    title: str
    attended: Attended


def draw_overlay(rows: Sequence[Explained]) -> bytes:
    """Return a PNG with one row per image."""
    strips = [_strip(row) for row in rows]
    width = max(strip.width for strip in strips)
    sheet = Image.new("RGB", (width, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _strip(row: Explained) -> Image.Image:
    base = Image.fromarray(row.image).resize((_CELL_PX, _CELL_PX), Image.Resampling.BICUBIC)
    weights = row.attended.weights
    strongest = np.argsort(-weights.max(axis=0), kind="stable")[:_HEATS]
    winners = _winners(weights)
    cells = [(base, row.title), (_mosaic(base, row.attended, winners), "attribute per patch")]
    for index in strongest:
        name, text = row.attended.texts[index]
        heat = draw_heat_map(base, row.attended.grid, weights[:, index])
        cells.append((heat, f"{name}: {text} (up to {weights[:, index].max():.1%})"))
    legend = [(_PALETTE[i], row.attended.texts[index]) for i, index in enumerate(winners)]
    height = _GAP_PX + _CELL_PX + (_LINES + len(legend) + 1) * _LINE_PX
    strip = Image.new("RGB", (len(cells) * (_CELL_PX + _GAP_PX) + _GAP_PX, height), "white")
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=12)
    for column, (cell, caption) in enumerate(cells):
        left = _GAP_PX + column * (_CELL_PX + _GAP_PX)
        strip.paste(cell, (left, _GAP_PX))
        for line, text in enumerate(_wrap(caption, font)):
            y = _GAP_PX + _CELL_PX + 2 + line * _LINE_PX
            draw.text((left, y), text, fill="black", font=font)
    for line, (colour, (name, text)) in enumerate(legend):
        y = _GAP_PX + _CELL_PX + (_LINES + line) * _LINE_PX + 4
        draw.rectangle((_GAP_PX, y + 2, _GAP_PX + 10, y + 12), fill=colour)
        room = strip.width - 2 * _GAP_PX - 16
        caption = fitted(printable(f"{name}: {text}"), font, room)
        draw.text((_GAP_PX + 16, y), caption, fill="black", font=font)
    return strip


def _winners(weights: NDArray[np.float32]) -> list[int]:
    """Return the attributes that win most patches, most first; ties in the bank's order."""
    wins = Counter(int(index) for index in weights.argmax(axis=1))
    return sorted(wins, key=lambda index: (-wins[index], index))[:_COLOURS]


def _mosaic(base: Image.Image, attended: Attended, winners: Sequence[int]) -> Image.Image:
    """Tint every patch with the colour of the attribute it attends to most."""
    colours = dict(zip(winners, _PALETTE, strict=False))
    won = attended.weights.argmax(axis=1)
    patches = np.array([colours.get(int(index), _REST) for index in won], dtype=np.uint8)
    tint = Image.fromarray(patches.reshape(*attended.grid, 3))
    return Image.blend(base, tint.resize(base.size, Image.Resampling.NEAREST), 0.6)


def fitted(text: str, font: Font, width_px: float) -> str:
    """Return a text that is no wider: what does not fit is left out of its middle."""
    kept = len(text)
    short = text
    while kept > 1 and font.getlength(short) > width_px:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short


def _wrap(text: str, font: Font) -> list[str]:
    """Break a caption into lines that fit a cell; what does not fit is cut."""
    words = [fitted(word, font, _CELL_PX) for word in printable(text).split()]
    lines: list[str] = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= _CELL_PX:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > _LINES:
        rest = " ".join(lines[_LINES - 1 :])
        lines[_LINES - 1] = _begun(rest, font)
    return lines[:_LINES]


def _begun(text: str, font: Font) -> str:
    """Return as much of the beginning of a text as fits a cell with an ellipsis."""
    while text and font.getlength(f"{text} …") > _CELL_PX:
        text = text[:-1].rstrip()
    return f"{text} …"
