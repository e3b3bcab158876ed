"""A stand-in of the hub's API on this machine: repositories, and commits of whole files."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What the stand-in was told.

    Parameters
    ----------
    refuses : int or None
        Status every request is answered with, instead of being served.
    """

    refuses: int | None = None
    address: str = ""
    repositories: dict[str, Any] = field(default_factory=dict)  # name → who sees it
    files: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str | None] = field(default_factory=set)


@contextmanager
def hub(refuses: int | None = None) -> Iterator[Hub]:
    """Serve a hub on a free port of this machine."""
    state = Hub(refuses)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

        def _answer(self, value: Any, status: int = 200) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._serve(body)

        def _chunk(self) -> bytes:
            size = int(self.rfile.readline(), 16)
            content = self.rfile.read(size)
            self.rfile.readline()
            return content

        def _serve(self, body: bytes) -> None:
            state.tokens.add(self.headers.get("Authorization"))
            path = self.path.partition("?")[0]
            if state.refuses is not None:
                self._answer({"error": "no"}, state.refuses)
            elif path == "/api/repos/create":
                asked = json.loads(body)
                owner = asked.get("organization")
                name = asked["name"] if owner is None else f"{owner}/{asked['name']}"
                state.repositories[name] = asked.get("visibility") or asked.get("private")
                self._answer({"url": f"{state.address}/{name}", "name": name})
            elif path.endswith("/preupload/main"):
                files = json.loads(body)["files"]
                kept = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in files
                ]
                self._answer({"files": kept})
            elif path.endswith("/commit/main"):
                for line in body.decode().splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        value = entry["value"]
                        state.files[value["path"]] = base64.b64decode(value["content"])
                self._answer(
                    {"commitUrl": f"{state.address}/c/1", "commitOid": "1" * 40, "success": True}
                )
            elif "/revision/main" in path or path.startswith("/api/models/"):
                self._answer({"id": "ann/toys", "sha": "1" * 40, "siblings": []})
            else:
                self._answer({"valid": True, "errors": []})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
