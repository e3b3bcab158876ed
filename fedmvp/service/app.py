"""The HTTP service over a `ServedModel`: limits, statuses, and one line for every refusal.

Statuses: 400 a bad request, 404 and 405 no such address, 408 a request that is sent too slowly,
413 more than a limit allows, 415 neither JSON nor a form, 429 too many at once, 503 not done in
time, 500 a fault of ours.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

import fedmvp
from fedmvp.errors import DataError, FedMVPError, TooLarge, one_line
from fedmvp.files import parse_json
from fedmvp.prediction.limits import Budget, Busy, Gate, Limits, TooSlow
from fedmvp.prediction.served import ServedModel

__all__ = ["build_app"]

_JSON, _FORM = "application/json", "multipart/form-data"
_HINT = 'send JSON {"images": [base64, ...], "dataset": "..."}, or a form with files `image`'
_STATUS: dict[type[FedMVPError], HTTPStatus] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Busy: HTTPStatus.TOO_MANY_REQUESTS,
    TooSlow: HTTPStatus.SERVICE_UNAVAILABLE,
}
# A connection serves one request, so that the server's bound on a connection bounds a request.
_CLOSE = {"Connection": "close"}


class _UnknownKind(FedMVPError):
    """The body is in no form the service reads."""


class _SentTooSlowly(FedMVPError):
    """The body did not come in time."""


_STATUS |= {
    _UnknownKind: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    _SentTooSlowly: HTTPStatus.REQUEST_TIMEOUT,
}

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "additionalProperties": False,
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {},
                            "description": "base64 of an image file, or pixels [H][W][3].",
                        },
                        "dataset": {"type": "string"},
                    },
                }
            },
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "dataset": {"type": "string"},
                    },
                }
            },
        },
    }
}


def build_app(served: ServedModel, limits: Limits) -> FastAPI:
    """Return the service.

    ``POST /classify`` classifies images, ``GET /healthz`` says that it runs, ``GET /openapi.json``
    describes both. There is no page, because FastAPI's fetches its scripts from elsewhere.
    """
    gate = Gate(limits)
    app = FastAPI(title="FedMVP", version=fedmvp.__version__, docs_url=None, redoc_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the model is loaded."""
        return {"status": "ok"}

    @app.post("/classify", openapi_extra=_BODY)
    async def classify(request: Request) -> JSONResponse:
        """Classify the images of a request; answers are in their order."""
        try:
            with gate.admitted() as budget:
                body = await _read(request, budget)
                kind = request.headers.get("content-type", "")
                answers = await run_in_threadpool(_classify, served, gate, budget, kind, body)
        except Busy:
            await _receive(request, Budget(limits), most=0)
            raise
        return JSONResponse({"predictions": answers}, headers=_CLOSE)

    @app.exception_handler(FedMVPError)
    async def refuse(request: Request, error: FedMVPError) -> JSONResponse:
        status = _STATUS.get(type(error), HTTPStatus.BAD_REQUEST)
        again = {"Retry-After": "1"} if isinstance(error, Busy | TooSlow) else {}
        return JSONResponse({"error": str(error)}, status, {**_CLOSE, **again})

    @app.exception_handler(HTTPException)
    async def no_such_address(request: Request, error: HTTPException) -> JSONResponse:
        line = f"{one_line(request.url.path)}: {error.detail}; hint: send POST /classify"
        return JSONResponse({"error": line}, error.status_code, {**_CLOSE, **(error.headers or {})})

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        # The traceback goes to the server's log alone.
        line = "server: a fault of ours; hint: its log says more"
        return JSONResponse({"error": line}, HTTPStatus.INTERNAL_SERVER_ERROR, _CLOSE)

    return app


async def _read(request: Request, budget: Budget) -> bytes:
    """Return the body, no further than the limits."""
    body, count = await _receive(request, budget, most=budget.limits.request_bytes)
    budget.require_bytes(count)
    return body


async def _receive(request: Request, budget: Budget, most: int) -> tuple[bytes, int]:
    """Return a body, or nothing of one with more than `most` bytes, and its bytes as far as known.

    What is not kept is received all the same, up to four times the limit: a connection closed on
    a client that still sends loses the answer.
    """
    told = request.headers.get("content-length", "")
    count = int(told) if told.isdecimal() and len(told) < 20 else 0
    patience = 4 * budget.limits.request_bytes
    if count > patience or (count > most and "expect" in request.headers):
        return b"", count
    body, received = bytearray(), 0
    try:
        async with asyncio.timeout(budget.left_s()):
            async for part in request.stream():
                received += len(part)
                if received <= most:
                    body += part
                elif received > patience:
                    break
                else:
                    body.clear()
    except TimeoutError:
        raise _SentTooSlowly(
            f"not sent within {budget.limits.seconds:g} s",
            where="request",
            hint="send it faster, or smaller images",
        ) from None
    return bytes(body), received


def _classify(
    served: ServedModel, gate: Gate, budget: Budget, kind: str, body: bytes
) -> list[dict[str, Any]]:
    with gate.working(budget):
        images, dataset = _parse(kind, body)
        return served.predict(images, dataset, budget)


def _parse(kind: str, body: bytes) -> tuple[Sequence[Any], str | None]:
    """Return the images of a body, and the dataset it asks for."""
    name, options = parse_options_header(kind)
    if name == _JSON:
        return _json(body)
    if name == _FORM:
        return _form(body, options)
    raise _UnknownKind("neither JSON nor a form", where="Content-Type", value=kind, hint=_HINT)


def _json(body: bytes) -> tuple[Sequence[Any], str | None]:
    try:
        value = parse_json(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else one_line(str(error), 80)
        raise DataError(f"not JSON ({why})", where="request", hint=_HINT) from None
    if not isinstance(value, dict):
        raise DataError("not a mapping", where="request", hint=_HINT)
    if unknown := sorted(value.keys() - {"images", "dataset"}):
        raise DataError("unknown key", where="request", value=unknown[0], hint=_HINT)
    images, dataset = value.get("images"), value.get("dataset")
    if not isinstance(images, list) or not images:
        raise DataError("images are no list, or an empty one", where="request", hint=_HINT)
    if dataset is not None and not isinstance(dataset, str):
        raise DataError("dataset is no text", where="request", value=dataset, hint=_HINT)
    return images, dataset


def _form(body: bytes, options: Mapping[str, str]) -> tuple[Sequence[Any], str | None]:
    # Bodies are bounded already; parts are, because each takes far more memory than it has bytes.
    parser = FormDataParser(lambda *_, **__: io.BytesIO(), silent=False, max_form_parts=1000)
    try:
        _, fields, files = parser.parse(io.BytesIO(body), _FORM, len(body), dict(options))
    except (ValueError, RequestEntityTooLarge):
        raise DataError("not a whole form", where="request", hint=_HINT) from None
    if unknown := sorted((set(files) - {"image"}) | (set(fields) - {"dataset"})):
        raise DataError("unknown field", where="request", value=unknown[0], hint=_HINT)
    images = [file.stream.read() for file in files.getlist("image")]
    if not images:
        raise DataError("form has no file `image`", where="request", hint=_HINT)
    return images, fields.get("dataset")
