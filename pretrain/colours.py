"""Plain colour words for a drawing: "red and white"."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["colour_words"]

# Reference colours, sRGB 0..255; several per word, the nearest in the Lab-like space below wins.
_PALETTE = {
    "red": [(221, 46, 68), (190, 25, 49), (240, 60, 50)],
    "orange": [(244, 144, 12), (255, 170, 50), (240, 120, 40)],
    "yellow": [(255, 204, 77), (255, 230, 60), (250, 240, 140)],
    "green": [(62, 114, 29), (119, 178, 85), (92, 145, 59), (60, 180, 75)],
    "teal": [(0, 150, 136), (60, 190, 190)],
    "blue": [(59, 136, 195), (34, 102, 153), (85, 172, 238), (30, 60, 160)],
    "light blue": [(187, 221, 245), (140, 202, 247)],
    "purple": [(146, 102, 204), (110, 60, 150), (170, 142, 214)],
    "pink": [(244, 171, 186), (234, 89, 110), (255, 150, 200)],
    "brown": [(102, 33, 19), (138, 75, 56), (193, 105, 79), (120, 80, 40)],
    "beige": [(230, 200, 160), (255, 220, 180)],
    "black": [(20, 20, 20), (41, 47, 51)],
    "grey": [(102, 117, 127), (153, 170, 181), (130, 130, 130)],
    "white": [(255, 255, 255), (230, 231, 232), (225, 232, 237)],
}
_WORDS = [word for word, tones in _PALETTE.items() for _ in tones]
_UNIQUE = list(_PALETTE)


def _space(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Opponent space: lightness counts less than hue."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.stack([(r + g + b) / 3 * 0.9, (r - g) * 1.1, (r + g) / 2 - b], axis=-1)


_TONES = _space(np.array([tone for tones in _PALETTE.values() for tone in tones], np.float32))
_OF_TONE = np.array([_UNIQUE.index(word) for word in _WORDS])


def colour_words(image: NDArray[np.uint8], share: float = 0.18) -> str:
    """Name the one to three colours that each cover at least `share` of an RGBA drawing."""
    pixels = image[::2, ::2].reshape(-1, 4)
    inked = pixels[pixels[:, 3] > 127][:, :3].astype(np.float32)
    if len(inked) < 20:
        return ""
    distance = ((_space(inked)[:, None] - _TONES[None]) ** 2).sum(-1)
    counts = np.bincount(_OF_TONE[distance.argmin(1)], minlength=len(_UNIQUE)) / len(inked)
    words = [_UNIQUE[i] for i in np.argsort(-counts)[:3] if counts[i] >= share]
    return " and ".join(words)
