"""Which image files are read: by name when files are listed, by content when one is opened."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import PurePath

from PIL import Image

__all__ = ["SUFFIXES", "is_unread_image", "needs_plugin", "readable_formats"]

_FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "JPEG2000": (".j2k", ".jp2"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}
"""Pillow's name of a format, and how its files are named. Pillow knows others, and starts
Ghostscript for one of them. HEIF is read by the plug-in pillow-heif (extra `heif`)."""

SUFFIXES = frozenset(suffix for suffixes in _FORMATS.values() for suffix in suffixes)
"""Suffixes of images, the same on every machine: a missing plug-in must not hide an image."""

_PLUGIN = "pillow_heif"
_UNREAD = frozenset(
    [
        ".ai",
        ".arw",
        ".cr2",
        ".cr3",
        ".dcm",
        ".dng",
        ".eps",
        ".exr",
        ".hdr",
        ".ico",
        ".jxl",
        ".nef",
        ".orf",
        ".pdf",
        ".psd",
        ".raf",
        ".raw",
        ".rw2",
        ".svg",
        ".tga",
        ".xcf",
    ]
)
"""Suffixes of drawings, raw photographs and other files that people keep beside images."""


def is_unread_image(name: str) -> bool:
    """Tell by its name whether a file is an image of a format that is not read."""
    return PurePath(name).suffix.lower() in _UNREAD


def needs_plugin(name: str) -> bool:
    """Tell whether an image of this name needs a plug-in of Pillow that is not installed."""
    return PurePath(name).suffix.lower() in _FORMATS["HEIF"] and find_spec(_PLUGIN) is None


@cache
def readable_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats this machine reads."""
    if find_spec(_PLUGIN) is not None:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)
