"""What a request to a served model may take."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.serving import bomb, picture
from fedmvp.errors import ConfigError, TooLarge
from fedmvp.prediction.images import decode_values
from fedmvp.prediction.limits import Budget, Busy, Gate, Limits, TooSlow

VARIABLES = ("PIXELS", "IMAGES", "MIB", "REQUESTS", "SECONDS", "BATCH")


def test_the_environment_sets_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits.from_environment() == Limits()
    for name, value in zip(VARIABLES, ("1e6", "3", "0.5", "2", "1.5", "4"), strict=True):
        monkeypatch.setenv(f"FEDMVP_SERVE_{name}", value)
    assert Limits.from_environment() == Limits(1_000_000, 3, 1 << 19, 2, 1.5, 4)


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "inf", "1e15"])
@pytest.mark.parametrize("name", VARIABLES)
def test_limits_are_positive_numbers(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FEDMVP_SERVE_{name}", value)
    with pytest.raises(ConfigError, match=rf"FEDMVP_SERVE_{name}: not a positive.*hint: "):
        Limits.from_environment()


def test_images_and_requests_are_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMVP_SERVE_IMAGES", "1.5")
    with pytest.raises(ConfigError, match="not a positive whole number"):
        Limits.from_environment()


@pytest.mark.parametrize(
    "value",
    [
        picture(40, 26, "PNG"),
        base64.b64encode(picture(26, 40, "JPEG")).decode(),
        bomb(13000),
        bomb(14000),  # Pillow itself refuses to open it
        np.zeros((40, 26, 3), dtype=np.uint8),
    ],
    ids=["png", "base64", "bomb", "beyond Pillow's bound", "pixels"],
)
def test_an_image_of_too_many_pixels_is_not_decoded(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("fedmvp.data.decode._to_rgb", decoded)
    with pytest.raises(
        TooLarge, match=r"image 0 of the request: image has more than the 1,000 pixels"
    ):
        decode_values([value], 8, Budget(Limits(pixels=1000)))


def test_an_image_at_the_bound_is_decoded() -> None:
    values = [picture(40, 25, "PNG"), np.zeros((25, 40, 3), dtype=np.uint8)]
    limits = Limits(pixels=1000, images=2)
    expected = decode_values(values, 8)
    np.testing.assert_array_equal(decode_values(values, 8, Budget(limits)), expected)
    with pytest.raises(TooLarge, match=r"more than 2 images; got 3"):
        decode_values([*values, values[0]], 8, Budget(limits))


def test_time_is_looked_at_before_each_image() -> None:
    with pytest.raises(TooSlow, match=r"took longer than 1e-09 s.*FEDMVP_SERVE_SECONDS"):
        decode_values([picture(8, 8, "PNG")], 8, Budget(Limits(seconds=1e-9)))


def test_temporary_files_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    decode_values([picture(8, 8, "PNG")], 8)
    with pytest.raises(TooLarge):
        decode_values([picture(8, 8, "PNG")], 8, Budget(Limits(pixels=1)))
    assert not list(tmp_path.iterdir())


def test_so_many_come_in_and_one_works() -> None:
    gate = Gate(Limits(requests=2, seconds=0.05))
    with gate.admitted() as first, gate.admitted() as second, gate.working(first):
        with pytest.raises(Busy, match="2 requests are being served"), gate.admitted():
            pass
        with pytest.raises(TooSlow), gate.working(second):
            pass
    with gate.admitted() as third, gate.working(third):  # both are free again
        pass
