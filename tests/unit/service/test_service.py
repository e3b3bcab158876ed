"""The HTTP service: right answers, the right status for every bad request, limits that hold."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks.serving import FORM, Sent, fault, form, picture, requests_of, send
from fedmvp.prediction.limits import Limits
from fedmvp.prediction.served import ServedModel
from tests.unit.service.serving import Broken, Slow, served

LIMITS = Limits(pixels=400_000, images=4, request_bytes=1 << 20, requests=2, seconds=20)
SMALL = picture(16, 16, "PNG")
ONE = Sent("one", 200, form(SMALL), FORM)


@pytest.fixture(scope="module")
def port(model: ServedModel) -> Iterator[int]:
    with served(model, LIMITS) as number:
        yield number


@pytest.mark.parametrize("sent", requests_of(LIMITS), ids=lambda sent: sent.title)
def test_every_request_has_its_status_and_a_refusal_is_one_line(port: int, sent: Sent) -> None:
    status, text = send(port, sent)
    assert status == sent.status, text
    assert fault(sent, status, text) is None


def test_forms_and_json_are_answered_as_python_is(port: int, model: ServedModel) -> None:
    other = picture(30, 20, "JPEG", seed=2)
    expected = model.predict([SMALL, other], "toys")
    texts = [base64.b64encode(each).decode() for each in (SMALL, other)]
    body = json.dumps({"images": texts, "dataset": "toys"}).encode()
    for sent in (
        Sent("form", 200, form(SMALL, other, dataset="toys"), FORM),
        Sent("json", 200, body, "application/json; charset=utf-8"),
    ):
        status, text = send(port, sent)
        assert (status, json.loads(text)) == (200, {"predictions": expected})


def test_health_and_description(port: int) -> None:
    health = Sent("health", 200, verb="GET", path="/healthz", kind=None)
    assert send(port, health) == (200, '{"status":"ok"}')
    status, text = send(port, Sent("", 200, verb="GET", path="/openapi.json", kind=None))
    assert status == 200
    assert set(json.loads(text)["paths"]) == {"/healthz", "/classify"}
    # FastAPI's page would have the browser fetch its scripts from elsewhere.
    assert send(port, Sent("", 404, verb="GET", path="/docs", kind=None))[0] == 404


def test_the_next_request_is_turned_away_and_later_ones_are_not() -> None:
    slow = Slow()
    big = Sent("big", 429, form(b"x" * 900_000), FORM)
    with served(slow, Limits(requests=1, request_bytes=1 << 20)) as port, _pool() as pool:
        first = pool.submit(send, port, ONE)
        assert slow.begun.wait(10)
        for sent in (ONE, big):
            status, text = send(port, sent)
            assert status == 429
            assert "1 requests are being served" in json.loads(text)["error"]
        slow.may_end.set()
        assert first.result()[0] == 200
        assert send(port, ONE)[0] == 200


def test_a_request_whose_turn_does_not_come_in_time() -> None:
    slow = Slow()
    with served(slow, Limits(requests=2, seconds=0.3)) as port, _pool() as pool:
        first = pool.submit(send, port, ONE)
        assert slow.begun.wait(10)
        status, text = send(port, ONE)
        assert status == 503
        assert "took longer than 0.3 s" in json.loads(text)["error"]
        slow.may_end.set()
        assert first.result()[0] == 200


def test_a_fault_of_ours_is_one_line_without_paths() -> None:
    with served(Broken(), LIMITS) as port:
        status, text = send(port, ONE)
    assert status == 500
    assert json.loads(text) == {"error": "server: a fault of ours; hint: its log says more"}


@pytest.mark.parametrize("head_is_whole", [True, False])
def test_a_dripping_client_is_let_go(head_is_whole: bool) -> None:
    with served(Slow(), Limits(requests=1, seconds=0.5)) as port:
        head = b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(head + (b"\r\n" if head_is_whole else b""))
            answer = _drip(client)
        assert time.monotonic() - start < 5
        assert (b" 408 " in answer) == head_is_whole
        assert send(port, Sent("", 400, b"[]"))[0] == 400  # its place is free


def _drip(client: socket.socket) -> bytes:
    """Send a byte each tenth of a second until the server closes; return what it said."""
    client.settimeout(0.1)
    for _ in range(60):
        try:
            client.sendall(b"x")
            return client.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            return b""
    pytest.fail("the server waits for ever")


def _pool() -> Any:
    return ThreadPoolExecutor(2)
