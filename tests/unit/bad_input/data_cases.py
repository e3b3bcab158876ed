"""Image files and folders, missing manifests and partitions."""

from __future__ import annotations

import struct
import zlib

from tests.unit.bad_input.cases import Case
from tests.unit.bad_input.world import World, picture

__all__ = ["CASES"]

DOWNLOAD = ("download", "toys")
PREDICT = ("predict", "bad.png", "--dataset", "toys")
MANIFEST = "data/manifests/toys.json"
PARTITION = "data/partitions/small.json"


def image(name: str, content: bytes, *tells: str) -> Case:
    """Return a case of a file that is not an image."""
    return Case(name, lambda w: w.write("bad.png", content), PREDICT, ("bad.png: ", *tells))


def stage_image(name: str, content: bytes, *tells: str) -> Case:
    """Return a case of a file among a dataset's images that is none."""
    return Case(
        name,
        lambda w: w.write(".fedmvp/data/toys/photo/kite/0.png", content),
        DOWNLOAD,
        ("photo/kite/0.png: ", *tells),
    )


def header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + bytes(9)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def spoil_training_image(w: World) -> None:
    for path in (w.root / ".fedmvp/data/toys").rglob("*.png"):
        path.write_bytes(picture()[:40])


CASES = [
    Case(
        "fewer images than declared",
        lambda w: w.catalog(counts={"images": 33}),
        DOWNLOAD,
        ("number of images (images) is not the declared 33; got 32",),
    ),
    Case(
        "a folder that is not a class",
        lambda w: w.write(".fedmvp/data/toys/photo/cat/0.png", b""),
        DOWNLOAD,
        ("photo/cat: folder is not a class", "layout.ignore"),
    ),
    Case(
        "a class without images",
        lambda w: [w.remove(f".fedmvp/data/toys/{d}/kite") for d in ("photo", "sketch")],
        DOWNLOAD,
        ("class 'kite' has no image; got 'kite'",),
    ),
    Case(
        "a domain without a folder",
        lambda w: w.remove(".fedmvp/data/toys/photo"),
        DOWNLOAD,
        ("toys/photo: folder is missing",),
    ),
    Case(
        "a file name that is not text",
        lambda w: w.write(".fedmvp/data/toys/photo/kite/\udcff.png", b""),
        DOWNLOAD,
        ("leaves the folder or is not printable text", "udcff"),
    ),
    image("an image of words", b"not an image", "cannot be decoded"),
    image("an image of nothing", b"", "cannot be decoded"),
    image("half an image", picture((64, 64))[:90], "cannot be decoded"),
    image("a line for an image", picture((30_000, 1)), "more than 100 times the other"),
    image(
        "a program for an image",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "cannot be decoded",
    ),
    image(
        "a drawing for an image", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "cannot be decoded"
    ),
    image(
        "an image of too many pixels",
        header(60_000, 60_000),
        "more than the 178,956,970 pixels",
        "scale it down",
    ),
    image(
        "an image of 200 million pixels",
        header(20_000, 10_000),
        "more than the 178,956,970 pixels",
        "scale it down",
    ),
    stage_image(
        "a text named as an image",
        b"not an image",
        "not an image of a supported format",
        "(1 of 32 images",
        "move it out of the folder",
    ),
    stage_image("a picture of 200 million pixels", header(20_000, 10_000), "178,956,970 pixels"),
    stage_image("a HEIC that is none", b"x", "not an image of a supported format"),
    Case("no image", lambda w: None, PREDICT, ("bad.png: no such image file",)),
    Case(
        "a folder for an image",
        lambda w: w.write("bad.png/0.txt", b""),
        PREDICT,
        ("bad.png: no image in this folder",),
    ),
    Case(
        "training images cut short",
        spoil_training_image,
        ("train", "small", "fedmvp", "1"),
        (".png: image cannot be decoded", "replace the file, or move it out of the folder"),
        {"FEDMVP_CACHE": ".fedmvp/cache"},
    ),
    Case(
        "no manifest",
        lambda w: w.remove(MANIFEST),
        ("partition", "small"),
        ("toys.json: file is missing", "dvc repro"),
    ),
    Case(
        "half a manifest",
        lambda w: w.write(MANIFEST, (w.root / MANIFEST).read_bytes()[:200]),
        ("partition", "small"),
        ("toys.json: not valid JSON",),
    ),
    Case(
        "no partition",
        lambda w: w.remove(PARTITION),
        ("train", "small", "fedmvp", "1"),
        ("small.json: file is missing", "dvc repro"),
    ),
]
