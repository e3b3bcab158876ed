"""The picture of attention."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFont

from fedmvp.prediction.overlay import Explained, draw_overlay, fitted
from fedmvp.prediction.predictor import Attended


def explained(winner: int, texts: int = 8) -> Explained:
    weights = np.full((4, texts), 0.01, dtype=np.float32)
    weights[:, winner] = 0.5
    weights[0, winner] = 0.9
    names = tuple((f"class {i}", f"attribute {i} " * (1 + 9 * i)) for i in range(texts))
    image = np.full((32, 32, 3), 200, dtype=np.uint8)
    return Explained(image, "file.png : class (99.0 %)", Attended(weights, (2, 2), names))


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_one_row_per_image_and_the_same_bytes_every_time() -> None:
    one, two = draw_overlay([explained(1)]), draw_overlay([explained(1), explained(5)])
    assert one == draw_overlay([explained(1)])
    assert opened(one).format == "PNG"
    assert opened(two).height == 2 * opened(one).height
    assert opened(two).width == opened(one).width


def test_the_strongest_patch_of_the_strongest_attribute_is_hot() -> None:
    picture = np.asarray(opened(draw_overlay([explained(3)])).convert("RGB")).astype(int)
    # Third cell: heat of the attribute with the strongest patch, which is the top left one.
    left = 12 + 2 * (192 + 12)
    hot, cold = picture[12 + 20, left + 20], picture[12 + 20, left + 150]
    assert hot[0] - hot[2] > 150
    assert abs(cold[0] - cold[2]) < 10


def test_few_texts_and_even_attention_are_drawn() -> None:
    even = Attended(np.full((4, 1), 1.0, dtype=np.float32), (2, 2), (("only", "text"),))
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    assert opened(draw_overlay([Explained(image, "title", even)])).size[0] > 192


LONG = "IMG_20240817_154233_my_summer_holiday_at_the_lake_HDR_portrait_edited_final.jpeg"


def test_a_long_file_name_stays_in_its_cell_and_leaves_room_for_the_class() -> None:
    plain = explained(1)
    titles = (f"{LONG}: class (99.0 %)", f"{LONG}: other (12.5 %)", "class (99.0 %)")
    pictures = [
        np.asarray(opened(draw_overlay([Explained(plain.image, title, plain.attended)])))
        for title in titles
    ]
    below = slice(12 + 192, 12 + 192 + 3 * 15)
    gap = slice(12 + 192, 12 + 192 + 12)  # between the first cell's column and the second's
    assert all((picture[below, gap] == 255).all() for picture in pictures)
    first, other, short = (picture[below, : 12 + 192] for picture in pictures)
    assert (first != other).any()  # the class is drawn
    assert (first != short).any()  # and so is the file


@pytest.mark.parametrize("width", [20, 60, 192])
def test_what_does_not_fit_is_left_out_of_the_middle(width: int) -> None:
    font = ImageFont.load_default(size=12)
    short = fitted(LONG, font, width)
    assert font.getlength(short) <= width
    begin, end = short.split("…")
    assert LONG.startswith(begin)
    assert LONG.endswith(end)
    assert fitted("1.png", font, 192) == "1.png"
