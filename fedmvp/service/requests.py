"""Reading a request: its body, within limits, and what the body asks for."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from fedmvp.errors import DataError, FedMVPError, one_line
from fedmvp.files import parse_json
from fedmvp.prediction.limits import Budget

__all__ = ["BODY", "Asked", "SentTooSlowly", "UnknownKind", "parse", "read_body", "receive"]

_JSON, _FORM = "application/json", "multipart/form-data"
_HINT = 'send JSON {"images": [base64, ...], "dataset": "..."}, or a form with files `image`'


class UnknownKind(FedMVPError):
    """The body is in a form that the service does not read."""


class SentTooSlowly(FedMVPError):
    """The body did not come in time."""


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Parameters
    ----------
    images : sequence
        As they were sent; see `fedmvp.prediction.images`.
    dataset : str or None
        Whose classes to choose among.
    attention : bool
        Whether to return pictures of what the patches attend to.
    """

    images: Sequence[Any]
    dataset: str | None
    attention: bool


BODY = {
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
                        "attention": {
                            "type": "boolean",
                            "description": "Add a picture of what each image's patches attend to.",
                        },
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
                        "attention": {"type": "string", "enum": ["true", "false"]},
                    },
                }
            },
        },
    }
}
"""OpenAPI's description of a body."""


async def read_body(request: Request, budget: Budget) -> bytes:
    """Return the body, if it stays within the limits.

    Raises
    ------
    TooLarge, SentTooSlowly
        When it does not.
    """
    body, count = await receive(request, budget, most=budget.limits.request_bytes)
    budget.require_bytes(count)
    return body


async def receive(request: Request, budget: Budget, most: int) -> tuple[bytes, int]:
    """Return a body, empty if it has more than `most` bytes, and its size as far as known.

    A body that is too long is still received, up to four times the limit, but not kept: if the
    connection were closed while the client is sending, the client would not get the answer.
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
        raise SentTooSlowly(
            f"not sent within {budget.limits.seconds:g} s",
            where="request",
            hint="send it faster, or smaller images",
        ) from None
    return bytes(body), received


def parse(kind: str, body: bytes) -> Asked:
    """Return what a body asks for.

    Raises
    ------
    DataError, UnknownKind
        When it is not a valid request.
    """
    name, options = parse_options_header(kind)
    if name == _JSON:
        return _json(body)
    if name == _FORM:
        return _form(body, options)
    raise UnknownKind("neither JSON nor a form", where="Content-Type", value=kind, hint=_HINT)


def _json(body: bytes) -> Asked:
    try:
        value = parse_json(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else one_line(str(error), 80)
        raise DataError(f"not JSON ({why})", where="request", hint=_HINT) from None
    if not isinstance(value, dict):
        raise DataError("not a mapping", where="request", hint=_HINT)
    if unknown := sorted(value.keys() - {"images", "dataset", "attention"}):
        raise DataError("unknown key", where="request", value=unknown[0], hint=_HINT)
    images, dataset = value.get("images"), value.get("dataset")
    if not isinstance(images, list) or not images:
        raise DataError("images is not a list, or an empty one", where="request", hint=_HINT)
    if dataset is not None and not isinstance(dataset, str):
        raise DataError("dataset is not text", where="request", value=dataset, hint=_HINT)
    attention = value.get("attention", False)
    if not isinstance(attention, bool):
        raise DataError("is neither true nor false", where="attention", value=attention, hint=_HINT)
    return Asked(images, dataset, attention)


def _form(body: bytes, options: Mapping[str, str]) -> Asked:
    # The body's size is limited already; parts are limited because each takes much more memory.
    parser = FormDataParser(lambda *_, **__: io.BytesIO(), silent=False, max_form_parts=1000)
    try:
        _, fields, files = parser.parse(io.BytesIO(body), _FORM, len(body), dict(options))
    except (ValueError, RequestEntityTooLarge):
        raise DataError("not a complete form", where="request", hint=_HINT) from None
    if unknown := sorted((set(files) - {"image"}) | (set(fields) - {"dataset", "attention"})):
        raise DataError("unknown field", where="request", value=unknown[0], hint=_HINT)
    images = [file.stream.read() for file in files.getlist("image")]
    if not images:
        raise DataError("form has no file `image`", where="request", hint=_HINT)
    attention = fields.get("attention", "false")
    if attention not in ("true", "false"):
        raise DataError("is neither true nor false", where="attention", value=attention, hint=_HINT)
    return Asked(images, fields.get("dataset"), attention == "true")
