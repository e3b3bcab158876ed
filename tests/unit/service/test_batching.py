"""Requests that wait together share a pass; each gets its own answer, or its own fault."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fedmvp.prediction.limits import Budget, Limits, TooSlow
from fedmvp.service.batching import Batcher


class Sums:
    """Stands for a predictor: the logit of an image is its sum; the first pass waits."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def predict(self, pixels: Any, batch_size: int) -> Any:
        self.begun.set()
        assert self.may_end.wait(30)
        if (pixels == 99).all(axis=(1, 2, 3)).any():
            raise ValueError("99")
        return pixels.sum(axis=(1, 2, 3), dtype=np.float32)[:, None]


def images(*values: int) -> Any:
    return np.stack([np.full((2, 2, 3), value, dtype=np.uint8) for value in values])


def waiting(batcher: Batcher, count: int) -> None:
    """Return once so many requests wait."""
    for _ in range(3000):
        if len(batcher._queue) >= count:
            return
        threading.Event().wait(0.01)
    pytest.fail("nobody waits")


@pytest.mark.parametrize(("most", "passes"), [(32, [1, 6]), (4, [1, 3, 3]), (1, [1, 1, 2, 3])])
def test_what_waits_is_classified_together(most: int, passes: list[int]) -> None:
    told: list[int] = []
    sums, batcher = Sums(), Batcher(most, told.append)
    asked = [(7,), (1,), (2, 3), (4, 5, 6)]
    with ThreadPoolExecutor(8) as pool:
        found = []
        for number, values in enumerate(asked):
            found.append(pool.submit(batcher, sums, images(*values), Budget(Limits())))  # type: ignore[arg-type]
            if number == 0:
                assert sums.begun.wait(30)  # the first is alone in its pass
            else:
                waiting(batcher, number)
        sums.may_end.set()
        for values, future in zip(asked, found, strict=True):
            assert future.result(30)[:, 0].tolist() == [12 * value for value in values]
    assert told == passes


def test_other_classes_have_a_pass_of_their_own() -> None:
    told: list[int] = []
    first, second = Sums(), Sums()
    second.may_end.set()
    batcher = Batcher(32, told.append)
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(batcher, first, images(1), Budget(Limits()))]  # type: ignore[arg-type]
        assert first.begun.wait(30)
        for number, sums in enumerate((first, second, first)):
            found.append(pool.submit(batcher, sums, images(2), Budget(Limits())))  # type: ignore[arg-type]
            waiting(batcher, number + 1)
        first.may_end.set()
        assert [future.result(30)[0, 0] for future in found] == [12, 24, 24, 24]
    assert told == [1, 2, 1]


def test_a_fault_is_told_to_those_it_concerns_and_the_next_is_served() -> None:
    sums, batcher = Sums(), Batcher(32)
    sums.may_end.set()
    with pytest.raises(ValueError, match="99"):
        batcher(sums, images(99), Budget(Limits()))  # type: ignore[arg-type]
    assert batcher(sums, images(1), Budget(Limits()))[0, 0] == 12  # type: ignore[arg-type]


def test_a_turn_that_does_not_come_in_time() -> None:
    sums, batcher = Sums(), Batcher(32)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batcher, sums, images(1), Budget(Limits()))  # type: ignore[arg-type]
        assert sums.begun.wait(30)
        with pytest.raises(TooSlow):
            batcher(sums, images(2), Budget(Limits(seconds=0.05)))  # type: ignore[arg-type]
        assert not batcher._queue
        sums.may_end.set()
        assert first.result(30)[0, 0] == 12
