"""The HTTP service: right answers, the right status for every bad request, limits that hold."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image

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
    assert set(json.loads(text)["paths"]) == {"/healthz", "/model", "/classify"}


def get(port: int, path: str) -> tuple[int, str]:
    return send(port, Sent("", 200, verb="GET", path=path, kind=None))


def test_pages_fetch_nothing_from_elsewhere(port: int) -> None:
    for path in ("/", "/docs", "/page.css", "/page.js"):
        status, text = get(port, path)
        assert status == 200
        assert not re.search(r"https?:|@import|url\(", text), path
    status, text = get(port, "/docs")
    assert "POST /classify" in text
    assert "multipart/form-data" in text


def test_a_browser_is_told_to_load_nothing_from_elsewhere(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    policy = answer.getheader("Content-Security-Policy") or ""
    connection.close()
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy


def test_the_model_says_among_what(port: int, model: ServedModel) -> None:
    status, text = get(port, "/model")
    assert status == 200
    about = json.loads(text)
    assert about["datasets"] == {"toys": ["red_fox", "teapot", "snow owl", "kite"]}
    assert (about["method"], about["default"], about["attention"]) == ("fedmvp", "toys", True)
    assert about["images"] == LIMITS.images


def test_attention_is_a_picture(port: int) -> None:
    for sent in (
        Sent("form", 200, form(SMALL, attention="true"), FORM),
        Sent(
            "json",
            200,
            json.dumps({"images": [base64.b64encode(SMALL).decode()], "attention": True}).encode(),
        ),
    ):
        status, text = send(port, sent)
        assert status == 200, text
        (answer,) = json.loads(text)["predictions"]
        head, _, content = answer["attention"].partition(",")
        assert head == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).format == "PNG"
    for sent in (
        Sent("form", 400, form(SMALL, attention="yes"), FORM),
        Sent("json", 400, b'{"images": ["AA"], "attention": 1}'),
    ):
        status, text = send(port, sent)
        assert status == 400
        assert "attention: is neither true nor false" in json.loads(text)["error"]


def test_metrics_count_what_was_served(model: ServedModel) -> None:
    with served(model, LIMITS) as port:
        send(port, ONE)
        send(port, Sent("two", 200, form(SMALL, SMALL), FORM))
        send(port, Sent("bad", 400, b"[]"))
        get(port, "/healthz")
        status, text = get(port, "/metrics")
    assert status == 200
    for line in (
        'fedmvp_requests_total{status="200"} 2.0',
        'fedmvp_requests_total{status="400"} 1.0',
        "fedmvp_request_seconds_count 3.0",
        "fedmvp_requests_in_progress 0.0",
        "fedmvp_pass_images_count 2.0",
        "fedmvp_pass_images_sum 3.0",
    ):
        assert line in text.splitlines(), text


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
    assert json.loads(text) == {"error": "server: internal error; hint: its log says more"}


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
