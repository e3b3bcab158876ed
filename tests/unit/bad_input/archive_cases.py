"""Archives of a dataset."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

from tests.unit.bad_input.cases import Case
from tests.unit.bad_input.world import picture, zipped

__all__ = ["CASES"]

DOWNLOAD = ("download", "toys")
CLASSES = ["red_fox", "teapot", "snow owl", "kite"]
MEMBERS = {
    f"{domain}/{name}/0.png": picture() for domain in ("sketch", "photo") for name in CLASSES
}


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


CASES = [
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
]
