"""A thousand mixed requests to ``fedmvp serve``: statuses, p50 and p99, and memory.

    python -m benchmarks.serving results/base_to_new/fedmvp/seed1 --requests 1000 --clients 12

starts the service, sends good and bad requests in a drawn order from that many clients at once and
prints the table of docs/performance.md. A request that is turned away is sent again after a tenth
of a second. It fails where a request is answered with another status
than it should be, or a refusal is more than one line. Linux alone: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fedmvp.prediction.limits import Limits

__all__ = ["Soak", "requests_of", "running", "send", "soak"]

JSON = "application/json"
_START_S = 300
_AGAIN, _TRIES = (429, 503), 3000
_BOUNDARY = "----fedmvp"


@dataclass(frozen=True)
class Sent:
    """A request, and the status it is to be answered with."""

    title: str
    status: int
    body: bytes = b""
    kind: str | None = JSON
    verb: str = "POST"
    path: str = "/classify"


@dataclass(frozen=True)
class Soak:
    """What a run of many requests gave."""

    statuses: dict[tuple[str, int], int]
    turned_away: int
    wrong: list[str]
    seconds: list[float]
    mib: dict[str, float]


def picture(width: int, height: int, form: str, seed: int = 0) -> bytes:
    """Return an image file with noise in it."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((width, height)).save(buffer, format=form)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """Return a PNG of some kilobytes with side² pixels."""
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, format="PNG")
    return buffer.getvalue()


def form(*files: bytes, **fields: str | None) -> bytes:
    """Return a form with images, and with those fields that have a value."""
    parts = [
        f'Content-Disposition: form-data; name="image"; filename="{i}"\r\n\r\n'.encode() + content
        for i, content in enumerate(files)
    ]
    for name, value in fields.items():
        if value is not None:
            head = f'Content-Disposition: form-data; name="{name}"'
            parts.append(f"{head}\r\n\r\n{value}".encode())
    start = f"--{_BOUNDARY}\r\n".encode()
    body = b"".join(start + part + b"\r\n" for part in parts)
    return body + f"--{_BOUNDARY}--\r\n".encode()


FORM = f"multipart/form-data; boundary={_BOUNDARY}"


def images(*each: object) -> bytes:
    """Return a JSON request."""
    return json.dumps({"images": each}).encode()


def requests_of(limits: Limits) -> list[Sent]:
    """Return every kind of request, good ones first."""
    small, photo = picture(64, 64, "PNG"), picture(640, 480, "JPEG")
    text = base64.b64encode(small).decode()
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3)).tolist()
    side = int(limits.pixels**0.5)
    return [
        Sent("photo, form", 200, form(photo), FORM),
        Sent("drawing, JSON", 200, images(text)),
        Sent("four images, form", 200, form(small, photo, small, photo), FORM),
        Sent("pixels, JSON", 200, images(pixels)),
        Sent("as large as allowed", 200, form(picture(side, side, "JPEG")), FORM),
        Sent("bomb of 13,000² pixels", 413, form(bomb(13000)), FORM),
        Sent("bomb beyond Pillow's bound", 413, form(bomb(14000)), FORM),
        Sent("too many images", 413, form(*[small] * (limits.images + 1)), FORM),
        Sent("too many bytes", 413, bytes(limits.request_bytes + 1), FORM),
        Sent("null", 400, images(None)),
        Sent("no base64", 400, images("?")),
        Sent("half an image", 400, form(photo[: len(photo) // 2]), FORM),
        Sent("nested too deeply", 400, b'{"images":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        Sent("no JSON", 400, b'{"images": NaN'),
        Sent("no mapping", 400, b"[]"),
        Sent("no images", 400, b'{"images": []}'),
        Sent("unknown key", 400, b'{"images": ["AA"], "image": 1}'),
        Sent("unknown dataset", 400, form(small, dataset="../../etc/passwd"), FORM),
        Sent("unknown field", 400, form(small).replace(b'"image"', b'"other"'), FORM),
        Sent("half a form", 400, form(photo)[:200], FORM),
        Sent("form without a boundary", 400, form(photo), "multipart/form-data"),
        Sent("no content type", 415, images(text), None),
        Sent("CSV", 415, b"image\n1\n", "text/csv"),
        Sent("wrong verb", 405, verb="GET", kind=None),
        Sent("unknown address", 404, path="/invocations"),
    ]


def send(port: int, sent: Sent) -> tuple[int, str]:
    """Return status and text of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {} if sent.kind is None else {"Content-Type": sent.kind}
    try:
        connection.request(sent.verb, sent.path, sent.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def fault(sent: Sent, status: int, text: str) -> str | None:
    """Return what is wrong with an answer."""
    if status != sent.status:
        return f"{sent.title}: {status} instead of {sent.status}: {text}"
    if status == 200:
        return None if "predictions" in json.loads(text) else f"{sent.title}: {text}"
    answer = json.loads(text)
    line = answer.get("error", "")
    plain = list(answer) == ["error"] and line.isprintable() and "hint: " in line
    leaks = "Traceback" in line or str(Path.cwd()) in line or ".py" in line
    return f"{sent.title}: {text}" if leaks or not plain else None


def memory_mib(pid: int, entry: str) -> float:
    """Return an entry of /proc/<pid>/status: VmRSS now, VmHWM the peak."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(rf"{entry}:\s*(\d+)", text)[1]) / 1024  # type: ignore[index]


def soak(port: int, pid: int, count: int, clients: int) -> Soak:
    """Send `count` requests of every kind, good ones half of the time, `clients` at once."""
    kinds = requests_of(Limits.from_environment())
    good = [sent for sent in kinds if sent.status == 200]
    for sent in good:  # the texts of the classes are encoded with the first
        send(port, sent)
    draw = np.random.default_rng(1)
    order = [(good if draw.random() < 0.5 else kinds) for _ in range(count)]
    chosen = [each[int(draw.integers(len(each)))] for each in order]
    before = memory_mib(pid, "VmRSS")

    def one(sent: Sent) -> tuple[Sent, int, int, str | None, float]:
        tries = 0
        while True:
            start = time.monotonic()
            status, text = send(port, sent)
            if status not in _AGAIN or tries == _TRIES:
                break
            tries += 1
            time.sleep(0.1)
        return sent, status, tries, fault(sent, status, text), time.monotonic() - start

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(one, chosen))
    time.sleep(1)
    return Soak(
        dict(sorted(Counter((sent.title, status) for sent, status, *_ in answers).items())),
        sum(tries for _, _, tries, _, _ in answers),
        [wrong for *_, wrong, _ in answers if wrong],
        sorted(seconds for _, status, _, _, seconds in answers if status == 200),
        {
            "before": before,
            "at its peak": memory_mib(pid, "VmHWM"),
            "after": memory_mib(pid, "VmRSS"),
        },
    )


@contextmanager
def running(command: Sequence[str], **more: object) -> Iterator[tuple[int, int]]:
    """Run ``fedmvp serve`` on a free port; yield port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "from fedmvp.cli import app; app(prog_name='fedmvp')"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "serve", *command, "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + _START_S
        while True:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the service does not start: {server.communicate()[1]}")
            try:
                send(port, Sent("health", 200, verb="GET", path="/healthz", kind=None))
                break
            except OSError:
                time.sleep(0.2)
        yield port, server.pid
    finally:
        server.terminate()
        server.communicate(timeout=60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, send, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="results/<setting>/<method>/seed<k>")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=12)
    chosen = parser.parse_args(arguments)
    with running([chosen.model]) as (port, pid):
        found = soak(port, pid, chosen.requests, chosen.clients)
    print("| request | status | answers |\n| --- | --- | --- |")
    for (title, status), count in found.statuses.items():
        print(f"| {title} | {status} | {count} |")
    p50, p99 = (1000 * float(np.percentile(found.seconds, q)) for q in (50, 99))
    print(
        f"\np50 {p50:.0f} ms, p99 {p99:.0f} ms of {len(found.seconds)} classified requests, "
        f"{found.turned_away} times turned away; "
        + ", ".join(f"{mib:.0f} MiB {when}" for when, mib in found.mib.items())
    )
    for line in found.wrong:
        print(line, file=sys.stderr)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
