"""Errors a user can correct: a message says what is wrong, where, with which value, and a hint."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from functools import partial
from typing import Any

__all__ = [
    "AttributeTextError",
    "BackboneError",
    "CheckpointError",
    "ClientFailure",
    "ConfigError",
    "DataError",
    "FedMVPError",
    "MessageError",
    "SourceError",
    "TooLarge",
    "error_line",
    "nearest",
    "one_line",
    "printable",
]


_LISTED = 40  # names a hint lists in full


class FedMVPError(Exception):
    """Base of all errors with a hint; the command line prints them in one line and exits with 2.

    Parameters
    ----------
    what : str
        What is wrong, e.g. ``"unknown key"``.
    where : object
        The file, params key or item it was found in.
    value : object, optional
        The offending value; shortened in the message.
    hint : str
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: object, value: object = None, hint: str) -> None:
        self.what, self.where, self.value, self.hint = what, str(where), value, hint
        super().__init__(what, self.where, value, hint)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes: what is passed by name comes back by name."""
        again = partial(type(self), where=self.where, value=self.value, hint=self.hint)
        return again, (self.what,), self.__dict__

    def __str__(self) -> str:
        parts = [f"{one_line(self.where)}: {one_line(self.what)}"]
        if self.value is not None:
            parts.append(f"got {one_line(repr(self.value), 120)}")
        return "; ".join([*parts, f"hint: {one_line(self.hint, 600)}"])


def error_line(error: Exception, disk_hint: str) -> str | None:
    """Return the one line that reports an error to the user, None for a fault of ours.

    Beside our own errors these are the system's and those of a machine with too little memory,
    which libraries report in many ways.

    Parameters
    ----------
    disk_hint : str
        What to do when a file cannot be read or written.
    """
    if isinstance(error, FedMVPError):
        return str(error)
    what = one_line(str(error)) or type(error).__name__
    if isinstance(error, MemoryError) or _lacks_memory(error):
        return (
            f"memory: not enough ({what}); hint: free memory or raise its limit (`ulimit -v`), "
            "or ask for less: fewer images, smaller batches"
        )
    if isinstance(error, OSError):
        notes = "".join(f" ({one_line(note)})" for note in getattr(error, "__notes__", ()))
        name = f"{one_line(str(error.filename))}: " if error.filename else ""
        return f"{name}{error.strerror or what}{notes}; hint: {disk_hint}"
    if isinstance(error, ImportError):
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        return (
            f"{missing or 'libraries'}: cannot be loaded ({what}); hint: allow more memory "
            "(`ulimit -v`), or build the environment again with `make env`"
        )
    return None


def _lacks_memory(error: Exception) -> bool:
    """Tell whether the system, torch's allocators or its threads ask for more than there is."""
    if isinstance(error, OSError | ImportError):
        return isinstance(error, OSError) and error.errno == errno.ENOMEM
    words = ("DefaultCPUAllocator", "can't allocate memory", "can't start new thread")
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def printable(text: str) -> str:
    r"""Return `text` on one line, with what a terminal could take for commands as escapes.

    Line feeds, ESC, marks that turn the direction of writing, halves of characters: a file's name
    may hold any of them.

    Examples
    --------
    >>> print(printable("naïve" + chr(27) + "[2J" + chr(10)))
    naïve\x1b[2J\n
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: what may have been meant, and what there is.

    Examples
    --------
    >>> nearest("fedmpv", ["fedmvp", "promptfl"])
    "did you mean 'fedmvp'? known: fedmvp, promptfl"
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    meant = f"did you mean {close[0]!r}? " if close else ""
    if len(names) > _LISTED:
        return f"{meant}known: {len(names)}, e.g. {', '.join(close or names[:3])}"
    return f"{meant}known: {', '.join(names) or 'none'}"


def one_line(text: str, limit: int = 300) -> str:
    """Printable one-line form of `text`, cut in the middle so both ends stay readable."""
    flat = "".join(c if c.isprintable() else " " for c in text)
    if len(flat) <= limit:
        return flat
    half = (limit - 1) // 2
    return f"{flat[:half]}…{flat[-half:]}"


class ConfigError(FedMVPError):
    """params.yaml, a settings file or a catalog entry is not valid."""


class DataError(FedMVPError):
    """A manifest, an image, a split or a class list is not as declared."""


class TooLarge(DataError):
    """More pixels, images or bytes than a limit allows."""


class SourceError(DataError):
    """A dataset could not be fetched, verified or extracted."""


class AttributeTextError(FedMVPError):
    """An attribute list is missing, malformed or names its own class."""


class BackboneError(FedMVPError):
    """CLIP weights cannot be used: missing, wrong shape, unsupported architecture."""


class CheckpointError(FedMVPError):
    """Saved tensors do not fit: missing, extra, misshapen or corrupted."""


class ClientFailure(FedMVPError):
    """A client's update cannot be aggregated."""


class MessageError(FedMVPError):
    """What a server or a site was sent is not a message that they agreed on."""
