"""Fixtures of the attribute tests: params, a dataset, a real chat server, questions put to it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses, collect_attributes
from fedmvp.attributes.providers.base import Usage

GOOD = {
    "heron": ["long dagger beak", "slender grey neck", "thin stilt legs"],
    "kettle": ["curved metal spout", "arched top handle", "rounded shiny body"],
    "rose": ["layered velvety petals", "thorny green stem", "serrated leaflets"],
}


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dataset() -> DatasetClasses:
    return DatasetClasses("things", "Things in photos", tuple(GOOD))


@pytest.fixture
def params() -> Callable[..., AttributeParams]:
    def make(**changes: Any) -> AttributeParams:
        base = {"provider": "recorded", "model": "m", "template": "visual-v1", "per_class": 3}
        return AttributeParams(**{**base, **changes})

    return make


@dataclass
class Reply:
    """What the server does with one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: int = 0  # Bytes of the body that are announced but never sent.


def completion(content: Any, finish: str = "stop") -> Reply:
    """Return the protocol's envelope around `content`."""
    value = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
    return Reply(json.dumps(value).encode())


def error(status: int, message: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}})
    # The client's own first wait is half a second; this header asks for less.
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(body.encode(), status, {"retry-after-ms": "5", **names})


def class_of(request: dict[str, Any]) -> str:
    """Return the class a request asks about."""
    prompt = request["messages"][0]["content"]
    return next(name for name in GOOD if f'"{name}"' in prompt)


def answer_well(request: dict[str, Any], number: int) -> Reply:
    return completion(json.dumps({"attributes": GOOD[class_of(request)]}))


class QuietServer(ThreadingHTTPServer):
    """A client that is killed resets its connection, which is no fault to print.

    On Python 3.11 a traceback is parsed as it is printed, which two threads cannot do at once.
    """

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what is not such a reset."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class ChatServer:
    """A local HTTP server; `respond` gets the request's JSON and its number from 0."""

    url: str = ""
    respond: Callable[[dict[str, Any], int], Reply] = answer_well
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    chat = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with chat.lock:
                number = len(chat.requests)
                chat.requests.append(request)
                chat.keys.append(self.headers["authorization"])
                chat.at_once += 1
                chat.most_at_once = max(chat.most_at_once, chat.at_once)
            try:
                reply = chat.respond(request, number)
                threading.Event().wait(reply.delay_s)
            finally:
                with chat.lock:
                    chat.at_once -= 1
            try:
                self.send_response(reply.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply.body) + reply.cut))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                pass  # The client gave up waiting, as a timeout test wants it to.
            if reply.cut:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the test output clean."""

    httpd = QuietServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    chat.url = f"http://127.0.0.1:{httpd.server_port}/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", chat.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    yield chat
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def collect(
    tmp_path: Path, params: Callable[..., AttributeParams], dataset: DatasetClasses
) -> Callable[..., Any]:
    def run(names: tuple[str, ...] = tuple(GOOD), **changes: Any) -> Any:
        classes = DatasetClasses(dataset.name, dataset.title, names)
        seen: list[Usage] = []
        found = collect_attributes(
            classes,
            params(**{"provider": "openai", **changes}),
            folder=tmp_path / "store",
            observer=lambda _, usage: seen.append(usage),
        )
        return found, sum(seen, Usage())

    return run
