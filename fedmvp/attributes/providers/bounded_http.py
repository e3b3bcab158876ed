"""An HTTP client that limits an answer's time, its size (also decompressed) and its redirects.

httpx limits only the time between two bytes: a server that sends one byte every half second would
keep it waiting for ever, and it reads the whole body of a redirect.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import openai

__all__ = ["MAX_BODY_BYTES", "MAX_REDIRECTS", "AnswerOutOfBounds", "BoundedClient"]

# About fifty times the longest answer that parsing accepts.
MAX_BODY_BYTES = 4 << 20
MAX_REDIRECTS = 3
_LENGTHS = (b"content-encoding", b"content-length", b"transfer-encoding")


class AnswerOutOfBounds(openai.OpenAIError):  # type: ignore[misc]
    """An answer that is too large or has too many redirects; asking again would not help.

    It is an error of the openai library, which raises those at once but asks again after others.
    """


class BoundedClient(httpx2.AsyncClient):
    """A client that reads each answer completely, within limits.

    Parameters
    ----------
    total_s : float
        For connecting, sending, every redirect and the last byte, together.
    trust_env : bool
        Whether proxies of the environment are used.
    """

    def __init__(self, total_s: float, *, trust_env: bool) -> None:
        # An answer takes seconds, so a new connection for each costs little, and none stays open.
        limits = httpx2.Limits(max_keepalive_connections=0)
        super().__init__(timeout=total_s, limits=limits, trust_env=trust_env)
        self._total_s = total_s

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Return the answer with its body read and decompressed.

        Raises
        ------
        httpx2.ReadTimeout
            When it is not complete in time.
        AnswerOutOfBounds
            When it is larger than 4 MiB, or behind more than three redirects.
        """
        chosen = {**options, "stream": True, "follow_redirects": False}
        try:
            async with asyncio.timeout(self._total_s):
                for _ in range(MAX_REDIRECTS + 1):
                    response = await super().send(request, **chosen)
                    try:
                        if response.next_request is None:
                            return await _whole(response)
                        request = response.next_request
                    finally:
                        await response.aclose()
        except TimeoutError:
            message = f"no whole answer in {self._total_s:g} s"
            raise httpx2.ReadTimeout(message, request=request) from None
        raise AnswerOutOfBounds(f"more than {MAX_REDIRECTS} redirects")


async def _whole(response: httpx2.Response) -> httpx2.Response:
    parts, size = [], 0
    # Decompressed piece by piece, a MiB at most at once.
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if max(size, response.num_bytes_downloaded) > MAX_BODY_BYTES:
            raise AnswerOutOfBounds(f"an answer larger than {MAX_BODY_BYTES >> 20} MiB")
    headers = [pair for pair in response.headers.raw if pair[0].lower() not in _LENGTHS]
    return httpx2.Response(
        response.status_code, headers=headers, content=b"".join(parts), request=response.request
    )
