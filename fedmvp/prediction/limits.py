"""What a request to a served model may take, and how many may be served at once.

The environment sets the limits, because MLflow starts a model without options of ours. They apply
to both servers, ``fedmvp serve`` and the MLflow model.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from fedmvp.errors import ConfigError, FedMVPError, TooLarge

__all__ = ["Budget", "Busy", "Gate", "Limits", "TooSlow"]

_MIB = 1 << 20
# glibc returns blocks of at least this size to the system when they are freed. By default it raises
# the bound up to 32 MiB and keeps the memory of decoded images.
_M_MMAP_THRESHOLD, _OWN_BYTES = -3, 1 << 20


class Busy(FedMVPError):
    """As many requests as are allowed are being served."""


class TooSlow(FedMVPError):
    """A request took too long."""


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Parameters
    ----------
    pixels : int
        Of an image, width times height, before it is decoded.
    images : int
        Of a request.
    request_bytes : int
        Of a request as it is sent; of its images in the MLflow model, which sees no more.
    requests : int
        Served at once, waiting ones counted; the next is turned away.
    seconds : float
        From a request's first byte to its answer. It is checked between images and batches.
    batch : int
        Images of a pass that several requests share; 1: each request by itself.
    """

    pixels: int = 20_000_000
    images: int = 32
    request_bytes: int = 16 * _MIB
    requests: int = 8
    seconds: float = 30.0
    batch: int = 32

    @classmethod
    def from_environment(cls) -> Limits:
        """Return the limits that the environment sets (docs/reference/environment.md).

        Raises
        ------
        ConfigError
            When one is not a positive number.
        """
        return cls(
            pixels=int(_positive("FEDMVP_SERVE_PIXELS", cls.pixels, whole=True)),
            images=int(_positive("FEDMVP_SERVE_IMAGES", cls.images, whole=True)),
            request_bytes=int(_MIB * _positive("FEDMVP_SERVE_MIB", cls.request_bytes / _MIB)),
            requests=int(_positive("FEDMVP_SERVE_REQUESTS", cls.requests, whole=True)),
            batch=int(_positive("FEDMVP_SERVE_BATCH", cls.batch, whole=True)),
            seconds=_positive("FEDMVP_SERVE_SECONDS", cls.seconds),
        )


def _positive(variable: str, default: float, *, whole: bool = False) -> float:
    given = os.environ.get(variable) or str(default)
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e12 or (whole and value != int(value)):
        raise ConfigError(
            f"not a positive {'whole ' if whole else ''}number",
            where=f"environment variable {variable}",
            value=given,
            hint=f"set one, or unset it for {default:g}",
        )
    return value


class Budget:
    """What is left of one request's limits; starts when it is made."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._ends = time.monotonic() + limits.seconds

    def left_s(self) -> float:
        """Return the seconds left; not below 0."""
        return max(self._ends - time.monotonic(), 0.0)

    def require_time(self) -> None:
        """Raise `TooSlow` where no time is left."""
        if not self.left_s():
            raise TooSlow(
                f"took longer than {self.limits.seconds:g} s",
                where="request",
                hint="send it again, with fewer or smaller images; FEDMVP_SERVE_SECONDS is the "
                "server's limit",
            )

    def require_images(self, count: int) -> None:
        """Raise `TooLarge` where a request has more images than it may."""
        if count > self.limits.images:
            raise TooLarge(
                f"more than {self.limits.images} images",
                where="request",
                value=count,
                hint="send several requests; FEDMVP_SERVE_IMAGES is the server's limit",
            )

    def require_bytes(self, count: int) -> None:
        """Raise `TooLarge` where a request has more bytes than it may."""
        if count > self.limits.request_bytes:
            raise TooLarge(
                f"more than {self.limits.request_bytes / _MIB:g} MiB",
                where="request",
                hint="send fewer or smaller images; FEDMVP_SERVE_MIB is the server's limit",
            )


class Gate:
    """Limits how many requests are served, lets one work at a time, and returns its memory.

    One at a time, because torch uses all threads for each, and so that only one request's decoded
    images are in memory.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._places = threading.BoundedSemaphore(limits.requests)
        self._work = threading.Lock()
        with suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, _OWN_BYTES)

    @contextmanager
    def admitted(self) -> Iterator[Budget]:
        """Give a request its place and budget.

        Raises
        ------
        Busy
            At once, where all places are taken.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(
                f"{self.limits.requests} requests are being served",
                where="server",
                hint="send it again in a second; FEDMVP_SERVE_REQUESTS is the server's limit",
            )
        try:
            yield Budget(self.limits)
        finally:
            self._places.release()

    @contextmanager
    def working(self, budget: Budget) -> Iterator[None]:
        """Wait for the request's turn.

        Raises
        ------
        TooSlow
            Where it does not come in time.
        """
        if not self._work.acquire(timeout=budget.left_s()):
            budget.require_time()
        try:
            yield
        finally:
            self._work.release()
