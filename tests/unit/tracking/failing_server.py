"""A stand-in for an MLflow server that answers some calls and then fails, in one way or another."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["FAILURES", "SECRET", "failing_server"]

SECRET = "s3cretpw"  # noqa: S105
_EXPERIMENT = {
    "experiment_id": "1",
    "name": "fedmvp-tiny",
    "artifact_location": "/nowhere/1",
    "lifecycle_stage": "active",
}
_RUN = {
    "info": {
        "run_id": "r1",
        "run_uuid": "r1",
        "experiment_id": "1",
        "status": "RUNNING",
        "start_time": 1,
        "lifecycle_stage": "active",
        "artifact_uri": "/nowhere/1/r1",
    },
    "data": {},
}
_ANSWERS: dict[str, dict[str, Any]] = {
    "experiments/search": {"experiments": [_EXPERIMENT]},
    "experiments/get-by-name": {"experiment": _EXPERIMENT},
    "runs/create": {"run": _RUN},
}
Handler = http.server.BaseHTTPRequestHandler


def _answer(handler: Handler, status: int, kind: str, body: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body.encode())


def _json(handler: Handler, status: int, body: object) -> None:
    _answer(handler, status, "application/json", json.dumps(body))


def _hang_up(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


FAILURES: dict[str, Callable[[Handler], None]] = {
    "forbidden": lambda handler: _json(
        handler, 403, {"error_code": "PERMISSION_DENIED", "message": f"alice:{SECRET} may not"}
    ),
    "forbidden page": lambda handler: _answer(
        handler, 403, "text/html", f"<html>\n<h1>Forbidden</h1>\n{SECRET}</html>"
    ),
    "log-in page": lambda handler: _answer(
        handler, 200, "text/html", f"<html>\n<form>log in\n{SECRET}</form></html>"
    ),
    "hung up": _hang_up,
    "broken": lambda handler: _answer(handler, 500, "text/plain", "Internal Server Error"),
    "other JSON": lambda handler: _json(handler, 200, {"runs": 3, "experiment": [], "run": "x"}),
}
"""What a server may do instead of answering."""


@contextlib.contextmanager
def failing_server(fail: Callable[[Handler], None], *, after: int) -> Iterator[str]:
    """Serve on this machine; yield the URI, with a user's name and password.

    Parameters
    ----------
    after : int
        Number of calls that are answered.
    """
    calls: list[str] = []

    class Server(Handler):
        def _serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            calls.append(self.path)
            if len(calls) > after:
                fail(self)
                return
            path = self.path.partition("?")[0].partition("/mlflow/")[2]
            _json(self, 200, _ANSWERS.get(path, {}))

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://alice:{SECRET}@127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
