"""Every answer ends: in time, in size, in redirects; and Ctrl-C ends the waiting for it."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes.providers.base import ProviderUnusable
from fedmvp.attributes.store import AnswerStore
from tests.paths import ROOT
from tests.unit.attributes.conftest import (
    GOOD,
    ChatServer,
    Reply,
    answer_well,
    completion,
)

pytestmark = pytest.mark.usefixtures("own_folder")

Collect = Callable[..., Any]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@contextmanager
def dripping(start: bytes) -> Iterator[str]:
    """Serve `start`, then one byte every 50 ms for ever; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(start)
                while not ended.wait(0.05):
                    connection.sendall(b"a")
            except OSError:
                pass  # The client has gone, as it should.

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    "start",
    [
        HEAD + b"content-length: 1000000\r\n\r\n{",
        HEAD + b"x-drip: ",
        b"HTTP/1.1 500 Oops\r\ncontent-length: 1000000\r\n\r\n{",
        b"HTTP/1.1 307 There\r\nlocation: /v1/again\r\ncontent-length: 1000000\r\n\r\n",
    ],
    ids=["body", "headers", "error body", "redirect"],
)
def test_a_dripping_answer_times_out(
    server: ChatServer, collect: Collect, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setenv("FEDMVP_LLM_TIMEOUT_S", "0.5")
    monkeypatch.setenv("FEDMVP_LLM_RETRIES", "1")
    with dripping(start) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        started = time.monotonic()
        with pytest.raises(ProviderUnusable, match=r"after all retries|more than 3 redirects"):
            collect(("heron",))
    assert time.monotonic() - started < 10


def bomb(status: int, times: int) -> Reply:
    """Return an answer of 256 MiB, compressed `times` over."""
    body = b"0" * (256 << 20)
    for _ in range(times):
        body = gzip.compress(body, 1)
    return Reply(body, status, {"content-encoding": ", ".join(["gzip"] * times)})


@pytest.mark.parametrize(("status", "times"), [(200, 1), (200, 2), (400, 1), (307, 1)])
def test_a_bomb_is_not_unpacked(
    server: ChatServer, collect: Collect, status: int, times: int
) -> None:
    reply = bomb(status, times)
    reply.headers["location"] = "/v1/chat/completions"
    server.respond = lambda request, number: reply
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ProviderUnusable, match=r"larger than 4 MiB|more than 3 redirects"):
        collect(("heron",))
    assert len(server.requests) == (4 if status == 307 else 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_large_plain_answer_is_refused(server: ChatServer, collect: Collect) -> None:
    server.respond = lambda request, number: completion("a" * (5 << 20))
    with pytest.raises(ProviderUnusable, match="larger than 4 MiB"):
        collect(("heron",))
    assert len(server.requests) == 1


def test_compressed_answers_are_read(server: ChatServer, collect: Collect) -> None:
    def compressed(request: dict[str, Any], number: int) -> Reply:
        reply = answer_well(request, number)
        return Reply(gzip.compress(reply.body), headers={"content-encoding": "gzip"})

    server.respond = compressed
    found, _ = collect()
    assert found.classes["rose"] == tuple(GOOD["rose"])


@pytest.mark.parametrize("redirects", [1, 3, 4])
def test_redirects_are_followed_three_times(
    server: ChatServer, collect: Collect, redirects: int
) -> None:
    there = Reply(b"", 307, {"location": "/v1/chat/completions"})
    server.respond = lambda request, number: (
        answer_well(request, number) if number == redirects else there
    )
    if redirects > 3:
        with pytest.raises(ProviderUnusable, match="more than 3 redirects"):
            collect(("heron",))
        assert len(server.requests) == 4
    else:
        collect(("heron",))
        assert len(server.requests) == redirects + 1


def test_a_redirect_elsewhere_takes_no_key_along(server: ChatServer, collect: Collect) -> None:
    elsewhere = server.url.replace("127.0.0.1", "localhost") + "/chat/completions"
    server.respond = lambda request, number: (
        answer_well(request, number) if number else Reply(b"", 307, {"location": elsewhere})
    )
    collect(("heron",))
    assert server.keys == ["Bearer sk-test", None]


ASKING = """
import signal
import sys
from pathlib import Path
from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses, collect_attributes

params = AttributeParams(provider="openai", model="m", template="visual-v1", per_class=3)
dataset = DatasetClasses("things", "Things in photos", ("heron", "kettle", "rose"))
observer = lambda name, usage: print(name, flush=True)
# A shell starts a job in the background with it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    collect_attributes(dataset, params, folder=Path("store"), workers=2, observer=observer)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("slow", ["hangs", "retries"])
def test_one_interrupt_ends_the_waiting(server: ChatServer, tmp_path: Path, slow: str) -> None:
    hang = threading.Event()

    def respond(request: dict[str, Any], number: int) -> Reply:
        if number == 0:
            return answer_well(request, number)
        if slow == "hangs":
            hang.wait(60)
        return Reply(b"{}", 429, {"retry-after": "60"})

    server.respond = respond
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING],
        cwd=tmp_path,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    answered = process.stdout.readline().strip()
    while len(server.requests) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        hang.set()
    assert process.returncode == 130 and not said
    assert time.monotonic() - started < 30  # of the 60 s it would wait
    store = AnswerStore.of("things", tmp_path / "store")
    assert [answer.question.class_name for answer in store] == [answered]
    assert json.dumps(GOOD[answered]) in store.path.read_text()
