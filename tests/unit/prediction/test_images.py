"""Images of files and of requests."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedmvp.data.inputs import image_files, read_images
from fedmvp.errors import DataError
from fedmvp.prediction.images import decode_values

PIXELS = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format="PNG")
    return buffer.getvalue()


def test_every_form_of_an_image_is_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png())
    text = base64.b64encode(png()).decode()
    values: list[Any] = [
        text,
        f"data:image/png;base64,{text}",
        png(),
        PIXELS,
        PIXELS.tolist(),
        PIXELS.astype(float).tolist(),
        np.array([list(row) for row in PIXELS.tolist()], dtype=object),
    ]
    (expected,) = read_images([path], 16).pixels
    assert expected.shape == (16, 16, 3)
    for image in decode_values(values, 16):
        np.testing.assert_array_equal(image, expected)


def test_order_is_kept(tmp_path: Path) -> None:
    paths = []
    for number in range(20):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (4, 4), (number, 0, 0)).save(paths[-1])
    assert read_images(paths, 4).pixels[:, 0, 0, 0].tolist() == list(range(20))


@pytest.mark.parametrize("content", [None, b"", b"no image", png()[:60]])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png.*hint: (replace the file|correct the path)"):
        read_images([path], 8)


def test_a_folder_without_images_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image in this folder"):
        read_images([tmp_path], 8)


@pytest.mark.parametrize(
    "value",
    [
        "no base64!",
        "AAAA",
        b"",
        b"noise",
        None,
        3,
        [1, 2],
        [[[1, 2]]],
        [[[0, 0, 256]]],
        [[[0, 0, -1]]],
        [[[0.5, 0, 0]]],
        [["a", "b", "c"]],
        [[[1, 2, 3]], [[1, 2]]],
        [],
    ],
)
def test_a_value_that_is_no_image_is_named_by_its_place(value: Any) -> None:
    with pytest.raises(DataError, match=r"image 1 of the request.*hint: send base64"):
        decode_values([PIXELS, value], 8)


def test_folders_give_their_images_and_files_themselves(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpg", "b/deep/3.webp", "b/notes.txt", "b/.hidden/4.png", "a.img"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = image_files([tmp_path / "b", tmp_path / "a.img"])
    names = [path.relative_to(tmp_path).as_posix() for path in found]
    assert names == ["b/1.jpg", "b/2.PNG", "b/deep/3.webp", "a.img"]


@pytest.mark.parametrize(
    ("name", "what"), [("empty", "no image in this folder"), ("gone", "no such image file or")]
)
def test_nothing_to_classify_is_told(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/readme.txt").touch()
    with pytest.raises(DataError, match=what) as caught:
        image_files([tmp_path / name])
    assert str(tmp_path / name) in str(caught.value)
