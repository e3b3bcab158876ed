from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.spec import load_spec
from fedmvp.data.fetch import web
from fedmvp.data.fetch.web import download
from fedmvp.data.sources import ensure_raw
from fedmvp.errors import SourceError

CONTENT = bytes(range(256)) * 40


class Server(ThreadingHTTPServer):
    """Serves `content`; cuts the first `cuts` answers in the middle."""

    content = CONTENT
    cuts = 0
    ranges = True
    status = 200

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/toy.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        content, start = self.server.content, 0
        if asked and self.server.ranges:
            start = int(re.match(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        rest = content[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.cuts > 0:
            self.server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_downloads(server: Server, tmp_path: Path) -> None:
    download(server.url, tmp_path / "deep" / "file")
    assert (tmp_path / "deep" / "file").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.cuts, server.ranges = 2, ranges
    download(server.url, tmp_path / "file", pause_s=0)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked[1] == f"bytes={len(CONTENT) // 2}-"


def test_a_killed_download_goes_on(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    download(server.url, tmp_path / "file")
    assert server.asked == ["bytes=1000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more"])
def test_a_part_that_is_whole_or_too_long(server: Server, tmp_path: Path, part: bytes) -> None:
    (tmp_path / "file.part").write_bytes(part)
    download(server.url, tmp_path / "file", pause_s=0)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_refusal_is_final_and_a_failure_is_not(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(SourceError, match="404"):
        download(server.url, tmp_path / "file", pause_s=0)
    assert len(server.asked) == 1
    server.status = 503
    with pytest.raises(SourceError, match="503"):
        download(server.url, tmp_path / "file", pause_s=0, attempts=3)
    assert len(server.asked) == 4
    assert not list(tmp_path.glob("file*"))


def test_only_web_addresses(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not an http"):
        download("file:///etc/hostname", tmp_path / "file")


def _web_source(server: Server, sha256: str) -> list[dict[str, object]]:
    return [{"kind": "http", "files": [{"url": server.url, "sha256": sha256}]}]


def test_http_source(toy: Any, server: Server, machine: Path) -> None:
    server.content = toy().read_bytes()
    toy(sources=_web_source(server, hashlib.sha256(server.content).hexdigest()))
    assert len(list(ensure_raw(load_spec("toy")).rglob("*.png"))) == 4


def test_wrong_checksum_is_refused_and_not_kept(toy: Any, server: Server, machine: Path) -> None:
    server.content = toy().read_bytes()
    toy(sources=_web_source(server, "0" * 64))
    with pytest.raises(SourceError, match="not the declared 0000"):
        ensure_raw(load_spec("toy"))
    assert not list((machine / "raw").rglob("*toy.zip*"))
    assert not (machine / "raw" / "toy").exists()


def test_a_full_disk_is_no_reason_to_try_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(web, "_fetch_rest", full)
    with pytest.raises(OSError, match="No space left"):
        download(server.url, tmp_path / "file", pause_s=60)


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.status = 429
    with pytest.raises(SourceError, match="429"):
        download(server.url, tmp_path / "file", pause_s=0, attempts=2)
    assert len(server.asked) == 2
