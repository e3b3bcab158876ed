"""DVC remotes of the kinds that tests use: a folder, and S3, by a server on this machine."""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pipeline.tiny import environment
from tests.ports import free_port

__all__ = ["BUCKET", "KINDS", "add_folder", "add_s3", "opened_remote", "s3_server"]

KINDS = ("folder", "s3")
BUCKET = "experiments"
_PATIENCE_S = 60.0


def add_folder(root: Path, name: str = "store", url: str = "../store") -> None:
    """Give a project a remote in a folder, named from its root."""
    _add(root, name, {"url": str(root / url)})


def add_s3(root: Path, endpoint: str, name: str = "store", bucket: str = BUCKET) -> None:
    """Give a project a remote in a bucket, with what that takes to be let in."""
    options = {
        "url": f"s3://{bucket}/a folder",
        "endpointurl": endpoint,
        "region": "us-east-1",
        "access_key_id": "someone",
        "secret_access_key": "secret",
    }
    _add(root, name, options)


def _add(root: Path, name: str, options: dict[str, str]) -> None:
    """Write what `dvc remote add --local` and `dvc remote modify --local` would, at once."""
    lines = [f"['remote \"{name}\"']", *(f"    {key} = {value}" for key, value in options.items())]
    with (root / ".dvc/config.local").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


@contextmanager
def opened_remote(kind: str, root: Path) -> Iterator[str]:
    """Give a project a remote of one of `KINDS`; yield its name."""
    if kind == "folder":
        add_folder(root)
        yield "store"
        return
    with s3_server() as endpoint:
        add_s3(root, endpoint)
        yield "store"


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server of S3 that keeps its objects in memory; yield its address."""
    for package, what in (("dvc_s3", "the extra `s3`"), ("moto", "moto")):
        pytest.importorskip(package, reason=f"{what} is not installed")
    port = free_port()
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            _make_bucket(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _make_bucket(port: int, server: subprocess.Popen[bytes]) -> None:
    """Make the bucket, once the server answers."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        assert server.poll() is None, "the server of S3 has ended"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        try:
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200
            return
        except ConnectionRefusedError:
            assert time.monotonic() < end, "the server of S3 does not answer"
            time.sleep(0.1)
        finally:
            connection.close()
