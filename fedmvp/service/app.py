"""The HTTP service over a `ServedModel`: limits, statuses, and one line for every refusal.

Statuses: 400 a bad request, 404 and 405 no such address or verb, 408 a request that is sent too
slowly, 413 more than a limit allows, 415 neither JSON nor a form, 429 too many requests at once,
503 not done in time, 500 an internal error.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

import fedmvp
from fedmvp.errors import FedMVPError, TooLarge, one_line
from fedmvp.prediction.limits import Budget, Busy, Gate, Limits, TooSlow
from fedmvp.prediction.served import ServedModel
from fedmvp.service.batching import Batcher
from fedmvp.service.metrics import KIND, Measured, Metrics
from fedmvp.service.pages import HEADERS, PAGES, description_page
from fedmvp.service.requests import BODY, SentTooSlowly, UnknownKind, parse, read_body, receive

__all__ = ["build_app"]

_STATUS: dict[type[FedMVPError], HTTPStatus] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Busy: HTTPStatus.TOO_MANY_REQUESTS,
    TooSlow: HTTPStatus.SERVICE_UNAVAILABLE,
    UnknownKind: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    SentTooSlowly: HTTPStatus.REQUEST_TIMEOUT,
}
# A connection serves one request, so that the time limit of a connection limits a request.
_CLOSE = {"Connection": "close"}


def build_app(served: ServedModel, limits: Limits) -> FastAPI:
    """Return the service.

    ``POST /classify`` classifies images, ``GET /model`` lists the classes, ``GET /healthz`` says
    that the service runs, ``GET /metrics`` gives its counts. ``GET /`` is a page to drop an image
    on, ``GET /docs`` shows ``GET /openapi.json`` as a page; unlike FastAPI's own, neither page
    fetches anything from elsewhere.
    """
    gate, metrics = Gate(limits), Metrics()
    batcher = Batcher(limits.batch, metrics.passes.observe)
    app = FastAPI(title="FedMVP", version=fedmvp.__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Measured, metrics=metrics)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the model is loaded."""
        return {"status": "ok"}

    @app.get("/model")
    def model() -> dict[str, Any]:
        """Return the classes by dataset, and the limits on a request."""
        return {**served.about(), "images": limits.images, "pixels": limits.pixels}

    @app.get("/metrics", include_in_schema=False)
    async def counts() -> Response:
        return Response(metrics.text(), media_type=KIND)

    @app.post("/classify", openapi_extra=BODY)
    async def classify(request: Request) -> JSONResponse:
        """Classify the images of a request; answers are in the images' order."""
        try:
            with gate.admitted() as budget:
                body = await read_body(request, budget)
                kind = request.headers.get("content-type", "")
                answers = await run_in_threadpool(
                    _classify, served, gate, batcher, budget, kind, body
                )
        except Busy:
            await receive(request, Budget(limits), most=0)
            raise
        return JSONResponse({"predictions": answers}, headers=_CLOSE)

    for path, (kind, content) in PAGES.items():
        _add_page(app, path, Response(content, media_type=kind, headers=HEADERS))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(description_page(app.openapi()), media_type="text/html", headers=HEADERS)

    _add_refusals(app)
    return app


def _add_page(app: FastAPI, path: str, page: Response) -> None:
    async def show() -> Response:
        return page

    app.get(path, include_in_schema=False)(show)


def _add_refusals(app: FastAPI) -> None:
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
        line = "server: internal error; hint: its log says more"
        return JSONResponse({"error": line}, HTTPStatus.INTERNAL_SERVER_ERROR, _CLOSE)


def _classify(
    served: ServedModel, gate: Gate, batcher: Batcher, budget: Budget, kind: str, body: bytes
) -> list[dict[str, Any]]:
    # Only one request's decoded images are in memory at a time; classifying has its own queue.
    with gate.working(budget):
        asked = parse(kind, body)
        ready = served.read(asked.images, asked.dataset, budget)
    answers = served.answers(ready, batcher, budget)
    if asked.attention:
        with gate.working(budget):
            served.add_pictures(ready, answers, budget)
    return answers
