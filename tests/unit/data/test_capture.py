"""What a camera does to an image, and that it depends on the camera and the image's id alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from fedmvp.catalog.cameras import Camera
from fedmvp.data.capture import GRAIN_PX, photograph
from fedmvp.files import sha256_bytes

PLAIN = Camera(exposure_spread=0, noise_spread=0)
CHEAP = Camera(exposure=0.55, cast=(1, 0.9, 1.1), noise=0.05, blur=0.6)


def picture(side: int = 64) -> NDArray[np.uint8]:
    """Return a ramp with a bright disc, a dark bar and a white edge, the same at every size."""
    y, x = np.mgrid[:side, :side] * 64 // side
    red, green, blue = 3 * x, 3 * y, (x + y) * 2
    for channel in (red, green, blue):
        channel[(x - 24) ** 2 + (y - 40) ** 2 < 150] = 230
        channel[(x > 40) & (x < 48)] //= 4
        channel[y < 4] = 255
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def flat(value: int, side: int = 64) -> NDArray[np.uint8]:
    return np.full((side, side, 3), value, dtype=np.uint8)


@pytest.mark.parametrize(
    ("side", "severity", "expected"),
    [
        (64, 1.0, "41d6add9f474a5121601651af60d863d8bccfc26e12c04855da918da57ba0c77"),
        (64, 0.7, "81bb418f1f41356a84755c1e1bafc0be1887c26133754c3006f91c9d627fdf52"),
        (32, 1.0, "5a0d296f0b1d9d6e1912501a69c039721f5737db9b547bbae3f2eef3a901ea99"),
        (96, 1.5, "424e8fd3df5bda0c21de023827de672e2269c981bc68030067b0d6016b24db59"),
    ],
)
def test_bytes_are_those_of_every_platform(side: int, severity: float, expected: str) -> None:
    """The blur stays below √2 pixels: beyond it, its weights may differ in the last bit."""
    taken = photograph(picture(side), CHEAP.at(severity), "toy/a.png")
    assert taken.shape == (side, side, 3) and taken.dtype == np.uint8
    assert sha256_bytes(taken.tobytes()) == expected


def test_the_same_in_any_order_and_thread() -> None:
    ids = [f"toy/{number}.png" for number in range(40)]
    given = picture()
    given.flags.writeable = False
    alone = [photograph(given, CHEAP, image_id) for image_id in ids]
    with ThreadPoolExecutor(8) as pool:
        together = [*pool.map(lambda image_id: photograph(given, CHEAP, image_id), ids[::-1])]
    np.testing.assert_array_equal(alone, together[::-1])
    assert len({taken.tobytes() for taken in alone}) == len(ids)


def test_no_severity_changes_nothing() -> None:
    none = CHEAP.at(0)
    assert none == Camera(exposure_spread=0, noise_spread=0)
    for side in (8, 64, 224):
        np.testing.assert_array_equal(photograph(picture(side), none, "a"), picture(side))


def test_severity_is_in_proportion() -> None:
    for half, whole in zip(
        CHEAP.at(0.5).model_dump().items(), CHEAP.model_dump().items(), strict=True
    ):
        name, value = half
        neutral = 1 if name in {"exposure", "cast"} else 0
        np.testing.assert_allclose(value, (neutral + np.array(whole[1])) / 2)
    for name, value in CHEAP.at(1).model_dump().items():
        np.testing.assert_allclose(value, getattr(CHEAP, name))
    assert CHEAP.at(2).exposure == pytest.approx(0.1)
    with pytest.raises(ValidationError, match=r"exposure\n.*greater than 0"):
        CHEAP.at(2.3)
    with pytest.raises(ValidationError, match=r"noise\n.*greater than or equal to 0"):
        CHEAP.at(-1)


def test_less_exposure_is_darker() -> None:
    """Every value, not just their mean."""
    given = picture()
    before = given
    for exposure in (0.9, 0.6, 0.3, 0.05):
        after = photograph(given, PLAIN.model_copy(update={"exposure": exposure}), "a")
        np.testing.assert_array_equal(after, np.rint(given * exposure))
        assert (after <= before).all() and after.mean() < before.mean()
        before = after


def test_a_cast_is_per_channel_and_bright_values_are_clipped() -> None:
    camera = PLAIN.model_copy(update={"exposure": 2.0, "cast": (1.0, 0.5, 0.25)})
    taken = photograph(flat(200), camera, "a")
    assert np.unique(taken.reshape(-1, 3), axis=0).tolist() == [[255, 200, 100]]


def test_grain_is_normal_and_independent() -> None:
    camera = PLAIN.model_copy(update={"noise": 0.05})
    grain = photograph(flat(128), camera, "a").astype(np.float64) - 128
    scale = 255 * 0.05
    # 12,288 values: the mean's standard error is 0.009 sigma, the deviation's 0.6 %.
    assert abs(grain.mean()) < 0.03 * scale
    assert grain.std() == pytest.approx(scale, rel=0.03)
    standard = (grain - grain.mean()) / grain.std()
    assert abs((standard**3).mean()) < 0.15
    assert abs((standard**4).mean() - 3) < 0.3
    for other in (np.roll(standard, 1, 0), np.roll(standard, 1, 1), np.roll(standard, 1, 2)):
        assert abs((standard * other).mean()) < 0.04
    second = photograph(flat(128), camera, "b") - 128.0
    assert abs((standard * second).mean() / scale) < 0.04


@pytest.mark.parametrize("value", [0, 255])
def test_noise_is_clipped_and_never_wraps(value: int) -> None:
    strong = photograph(flat(128), PLAIN.model_copy(update={"noise": 1.0}), "a")
    assert strong.min() == 0 and strong.max() == 255
    weak = photograph(flat(value), PLAIN.model_copy(update={"noise": 0.02}), "a")
    # The sum of 12 bytes reaches 6 sigma at most.
    assert (abs(weak.astype(int) - value) <= 0.02 * 255 * 6 + 1).all()
    assert (weak == value).mean() == pytest.approx(0.5, abs=0.06)


def test_exposure_and_noise_vary_within_their_spreads() -> None:
    ids = [f"toy/{number}.png" for number in range(400)]
    camera = PLAIN.model_copy(update={"exposure": 0.5, "exposure_spread": 0.2})
    factors = np.array([photograph(flat(250, 1), camera, i)[0, 0, 0] / 250 for i in ids])
    assert factors.min() >= 0.4 - 0.002 and factors.max() <= 0.6 + 0.002
    assert factors.min() < 0.41 and factors.max() > 0.59
    assert factors.mean() == pytest.approx(0.5, abs=0.01)
    camera = PLAIN.model_copy(update={"noise": 0.1, "noise_spread": 0.5})
    noise = np.array([photograph(flat(128), camera, i).std() / 255 for i in ids[:60]])
    assert noise.min() >= 0.05 * 0.97 and noise.max() <= 0.15 * 1.03
    assert noise.max() - noise.min() > 0.08


def smaller(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    shrunk = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BOX)
    return np.asarray(shrunk, dtype=np.float64)


def test_blur_and_grain_look_alike_at_every_size() -> None:
    """Lengths are in grains: an image of 224 pixels, made small, is that of 64 pixels."""
    soft = PLAIN.model_copy(update={"blur": 1.5})
    small, large = photograph(picture(), soft, "a"), photograph(picture(224), soft, "a")
    blurred = abs(small - picture().astype(float)).mean()
    assert abs(small - smaller(large)).mean() < 0.12 * blurred
    grainy = PLAIN.model_copy(update={"noise": 0.1})
    grain = photograph(flat(128), grainy, "a") - 128.0
    other = smaller(photograph(flat(128, 224), grainy, "a")) - 128
    assert np.corrcoef(grain.ravel(), other.ravel())[0, 1] > 0.95
    assert other.std() == pytest.approx(grain.std(), rel=0.1)
    # Whole multiples repeat each grain.
    twice = photograph(flat(128, 2 * GRAIN_PX), grainy, "a") - 128.0
    np.testing.assert_array_equal(twice[::2, ::2], grain)
    np.testing.assert_array_equal(twice[1::2, 1::2], grain)
