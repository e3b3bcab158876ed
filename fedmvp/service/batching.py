"""Requests that wait at the same time are classified in one pass.

There is no timer: the request whose turn it is takes along those that are waiting at that time, so
a single request is not delayed. The last bits of an answer may depend on what else was in the pass.

Shapes: B images, K classes, S input size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmvp.prediction.limits import Budget
from fedmvp.prediction.predictor import Predictor

__all__ = ["Batcher"]


@dataclass(eq=False)
class _Waiting:
    """A request's images, until there is an answer or an error."""

    predictor: Predictor
    pixels: NDArray[np.uint8]
    logits: NDArray[np.float32] | None = None
    error: Exception | None = None

    def is_done(self) -> bool:
        """Tell whether there is an answer or an error."""
        return self.logits is not None or self.error is not None


class Batcher:
    """Lets one pass run at a time, on all threads, with the images of all waiting requests.

    Parameters
    ----------
    most : int
        Most images in a pass that several requests share.
    tell : callable, optional
        Called with the number of images of each pass.
    """

    def __init__(self, most: int, tell: Callable[[int], object] | None = None) -> None:
        self.most = most
        self.tell = tell or (lambda images: None)
        self._turn = threading.Lock()
        self._queue: list[_Waiting] = []
        self._change = threading.Lock()

    def __call__(
        self, predictor: Predictor, pixels: NDArray[np.uint8], budget: Budget
    ) -> NDArray[np.float32]:
        """Return logits [B, K] of images [B, S, S, 3].

        Raises
        ------
        TooSlow
            When the turn does not come in time.
        """
        own = _Waiting(predictor, pixels)
        with self._change:
            self._queue.append(own)
        while not own.is_done():
            if not self._turn.acquire(timeout=budget.left_s()):
                if not budget.left_s():
                    self._forget(own)
                    budget.require_time()
                continue
            try:
                if not own.is_done():
                    self._run(self._together())
            finally:
                self._turn.release()
        if own.error is not None:
            raise own.error
        assert own.logits is not None
        return own.logits

    def _forget(self, own: _Waiting) -> None:
        with self._change:
            if own in self._queue:
                self._queue.remove(own)

    def _together(self) -> list[_Waiting]:
        """Take the request that has waited longest, and others with the same classes that fit."""
        with self._change:
            first = self._queue[0]
            taken, images = [first], len(first.pixels)
            for other in self._queue[1:]:
                fits = images + len(other.pixels) <= self.most
                if other.predictor is first.predictor and fits:
                    taken.append(other)
                    images += len(other.pixels)
            self._queue = [each for each in self._queue if each not in taken]
        return taken

    def _run(self, taken: list[_Waiting]) -> None:
        try:
            pixels = np.concatenate([each.pixels for each in taken])
            logits = taken[0].predictor.predict(pixels, batch_size=max(self.most, 1))
            self.tell(len(pixels))
            start = 0
            for each in taken:
                each.logits = logits[start : start + len(each.pixels)]
                start += len(each.pixels)
        except Exception as error:
            for each in taken:
                each.error = error
