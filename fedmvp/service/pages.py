"""The service's pages: one to drop an image on, and one that describes the service's requests.

They load nothing from elsewhere, and a header makes the browser enforce that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

__all__ = ["HEADERS", "PAGES", "description_page"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FOLDER = Path(__file__).parent / "static"
PAGES = {
    "/": ("text/html", (_FOLDER / "index.html").read_bytes()),
    "/page.css": ("text/css", (_FOLDER / "page.css").read_bytes()),
    "/page.js": ("text/javascript", (_FOLDER / "page.js").read_bytes()),
}
"""Address → content type and content."""
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>What the service answers to – FedMVP</title>
<link rel="stylesheet" href="page.css"><link rel="icon" href="data:,"></head>
<body><header><h1>What the service answers to</h1></header>
<main>
{parts}
</main>
<footer><p><a href="openapi.json">OpenAPI</a>, <a href="./">classify an image</a></p></footer>
</body></html>
"""


def description_page(description: Mapping[str, Any]) -> str:
    """Return an OpenAPI description as a page."""
    parts = [
        _operation(verb, path, operation)
        for path, verbs in description["paths"].items()
        for verb, operation in verbs.items()
    ]
    return _PAGE.format(parts="\n".join(parts))


def _operation(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    lines = [
        f"<h2>{escape(verb.upper())} {escape(path)}</h2>",
        f"<p>{escape(operation.get('description', ''))}</p>",
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = escape(json.dumps(content["schema"], indent=1, ensure_ascii=False))
        lines.append(f"<p>{escape(kind)}</p>\n<pre tabindex='0'>{schema}</pre>")
    return "\n".join(lines)
