"""Catalog entries, archives and image files."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from tests.unit.bad_input.cases import Case
from tests.unit.bad_input.world import World, picture, zipped

__all__ = ["CASES"]

DOWNLOAD = ("download", "toys")
SHOW = ("datasets", "show", "toys", "--out", "sheet.png")
PREDICT = ("predict", "bad.png", "--dataset", "toys")
MANIFEST = "data/manifests/toys.json"
PARTITION = "data/partitions/small.json"
CLASSES = ["red_fox", "teapot", "snow owl", "kite"]
MEMBERS = {
    f"{domain}/{name}/0.png": picture() for domain in ("sketch", "photo") for name in CLASSES
}


def catalog(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of wrong catalog entries."""
    return Case(name, lambda w: w.catalog(**entries), DOWNLOAD, ("toys.yaml: ", *tells))


def camera(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of a wrong camera of one domain."""
    return catalog(name, *tells, capture={"sketch": entries})


def severe(severity: float) -> Callable[[World], object]:
    """Return a change: a camera whose exposure is 0 at severity 2, and params' severity."""

    def change(w: World) -> None:
        w.catalog(capture={"sketch": {"exposure": 0.5}})
        w.params(data__capture=severity)

    return change


def named(first: object) -> list[object]:
    """Return the classes with another first one."""
    return [first, *CLASSES[1:]]


def archive(name: str, content: Callable[[], bytes], *tells: str, **file: Any) -> Case:
    """Return a case of a wrong archive."""
    return Case(name, lambda w: w.archive(content(), **file), DOWNLOAD, ("toys.zip: ", *tells))


def tar(kind: bytes, name: str = "a/link") -> bytes:
    """Return a tar archive of one special member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        opened.addfile(info)
    return buffer.getvalue()


def linked() -> bytes:
    """Return a zip archive with a symbolic link."""
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def bomb() -> bytes:
    """Return a zip archive of 100 MiB in 100 kB."""
    return zipped({"zeros.png": bytes(100 << 20)}, zipfile.ZIP_DEFLATED)


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


def manifest(name: str, change: Callable[[Any], object], *tells: str) -> Case:
    """Return a case of a changed manifest."""
    return Case(
        name,
        lambda w: w.edit_json(MANIFEST, change),
        ("partition", "small"),
        ("toys.json: not a valid manifest", *tells, "dvc repro download"),
    )


def partition(name: str, change: Callable[[Any], object], *tells: str) -> Case:
    """Return a case of a changed partition."""
    return Case(
        name,
        lambda w: w.edit_json(PARTITION, change),
        ("train", "small", "fedmvp", "1"),
        ("small.json: ", *tells),
    )


def spoil_training_image(w: World) -> None:
    for path in (w.root / ".fedmvp/data/toys").rglob("*.png"):
        path.write_bytes(picture()[:40])


CASES = [
    catalog("a class twice", "class 'teapot' is listed twice", classes=named("teapot")),
    catalog(
        "a class folder above",
        "relative path without '..'",
        classes=named({"name": "fox", "folder": ".."}),
    ),
    catalog(
        "a class name of 10,000 characters",
        "at most 1000 characters",
        "…",
        classes=named({"name": "x" * 10_000, "folder": "red_fox"}),
    ),
    catalog(
        "a class name of two lines",
        "printable text of one line",
        classes=named({"name": "red\nfox", "folder": "red_fox"}),
    ),
    catalog(
        "a class name of nothing",
        "at least 1 character",
        classes=named({"name": "", "folder": "red_fox"}),
    ),
    catalog(
        "a class name that is a number",
        "classes.0.name: ",
        "got 7",
        classes=named({"name": 7, "folder": "red_fox"}),
    ),
    catalog(
        "a raw folder above", "relative path without '..'", "got '../../etc'", folder="../../etc"
    ),
    catalog("a template without a place", "template must hold {} once", template="a photo"),
    catalog(
        "no test images",
        "train + val must be below 1",
        split={"rule": "fractions", "train": 0.9, "val": 0.1},
    ),
    catalog("an unknown reader", "'tarballs'", layout={"reader": "tarballs"}),
    catalog(
        "a source of another kind", "sources.0: ", "'ftp'", sources=[{"kind": "ftp", "files": []}]
    ),
    catalog(
        "a source without a checksum",
        "sha256 or md5",
        sources=[{"kind": "embedded", "files": [{"path": "x.zip"}]}],
    ),
    camera(
        "a misspelt key of a camera",
        "capture.sketch.focus: unknown key; got 2",
        "blur, cast",
        focus=2,
    ),
    camera(
        "a camera in the dark", "capture.sketch.exposure: ", "greater than 0; got 0", exposure=0
    ),
    camera("a negative noise", "capture.sketch.noise: ", "got -0.1", noise=-0.1),
    camera("a noise in words", "capture.sketch.noise: ", "got 'much'", noise="much"),
    camera("a noise that is true", "noise is true instead of a number", noise=True),
    camera("a cast of two values", "capture.sketch.cast.2: key is missing", cast=[1, 0.9]),
    camera("a cast of black", "capture.sketch.cast.1: ", "got 0", cast=[1, 0, 1]),
    camera(
        "a spread of all",
        "capture.sketch.exposure_spread: ",
        "less than 1; got 1",
        exposure_spread=1,
    ),
    catalog(
        "a camera without a domain",
        "'oil' is not one of the domains",
        capture={"oil": {"noise": 0.1}},
    ),
    catalog("a camera that is a number", "capture.sketch: ", "got 0.5", capture={"sketch": 0.5}),
    catalog("cameras in a list", "capture: ", "got [0.5]", capture=[0.5]),
    Case(
        "a severity that is too much",
        severe(2),
        DOWNLOAD,
        ("params.yaml: data.capture: too severe for the camera of 'sketch'", "got 2.0", "lower it"),
    ),
    Case(
        "a severity to show that is too much",
        severe(0),
        (*SHOW, "--severity", "2"),
        ("--severity: too severe for the camera of 'sketch'", "got 2.0", "lower it"),
    ),
    Case(
        "a negative severity to show",
        severe(0),
        (*SHOW, "--severity", "-1"),
        ("--severity: not a severity; got -1.0",),
    ),
    Case(
        "a severity without cameras",
        lambda w: None,
        (*SHOW, "--severity", "1"),
        ("--severity: the catalog entry of toys declares no cameras; got 1.0", "capture"),
    ),
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
    Case(
        "a missing archive",
        lambda w: (w.archive(zipped(MEMBERS)), w.remove("data/toys.zip")),
        DOWNLOAD,
        ("data/toys.zip: file is missing", "git checkout -- data/toys.zip"),
    ),
    Case(
        "a changed archive",
        lambda w: (w.archive(zipped(MEMBERS)), w.write("data/toys.zip", zipped(MEMBERS)[:-9])),
        DOWNLOAD,
        ("toys.zip: sha256 is not the declared", "git checkout"),
    ),
    archive(
        "an archive that is a page",
        lambda: b"<html>quota exceeded</html>",
        "not a zip or tar archive",
    ),
    archive("half an archive", lambda: zipped(MEMBERS)[:300], "not a zip or tar archive"),
    archive(
        "a member outside",
        lambda: zipped({"../../out.png": b"x"}),
        "would leave the target folder; got '../../out.png'",
    ),
    archive("a member at the root", lambda: zipped({"/etc/out.png": b"x"}), "got '/etc/out.png'"),
    archive(
        "a member of another system", lambda: zipped({"..\\out.png": b"x"}), "leave the target"
    ),
    archive("a symbolic link in a zip", linked, "is a link or device; got 'link'"),
    archive(
        "a symbolic link in a tar", lambda: tar(tarfile.SYMTYPE), "link or device; got 'a/link'"
    ),
    archive("a hard link in a tar", lambda: tar(tarfile.LNKTYPE), "link or device"),
    archive("a device in a tar", lambda: tar(tarfile.CHRTYPE), "link or device"),
    archive(
        "a file that is a folder, too",
        lambda: zipped({"a": b"", "a/b": b""}),
        "members contradict each other",
    ),
    archive(
        "a member name of 10,000 characters",
        lambda: zipped({"x" * 10_000: b""}),
        "damaged or unsupported",
    ),
    archive("a bomb", bomb, "expands to more than 100 times its size"),
    archive(
        "another checksum", lambda: zipped(MEMBERS), "sha256 is not the declared", sha256="0" * 64
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
