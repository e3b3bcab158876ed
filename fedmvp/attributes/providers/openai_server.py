"""Any server that speaks the OpenAI chat protocol: OpenAI, Azure, vLLM, Ollama, llama.cpp.

The server and its key come from ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``. The client itself
waits and asks again on rate limits (honouring Retry-After), 5xx answers, timeouts and broken
connections; `bounded_http` ends every answer. No message of this module holds the key: what the
server says is cleaned of it, and the client's exceptions, which carry the request, are never
chained to ours. An answer is left as it is, and refused when it reveals the key.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.parsing import ANSWER_SCHEMA
from fedmvp.attributes.providers.base import Ask, Provider, ProviderUnusable, Usage
from fedmvp.attributes.providers.dialogue import Completion, DialogueProvider, Message
from fedmvp.attributes.providers.secrets import Secrets, secrets_of_address
from fedmvp.attributes.providers.server_address import server_address
from fedmvp.errors import AttributeTextError

__all__ = ["OpenAIChat", "openai_provider"]

_OPENAI = "https://api.openai.com/v1"
_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "class_attributes", "strict": True, "schema": ANSWER_SCHEMA},
}
_AGAIN = "run the same command again later: classes already answered are not asked again"


def openai_provider(params: AttributeParams) -> Provider:
    """Open the provider from params and environment.

    Reads ``OPENAI_BASE_URL``, ``OPENAI_API_KEY``, ``FEDMVP_LLM_TIMEOUT_S`` (default 60) and
    ``FEDMVP_LLM_RETRIES`` (default 6).

    Raises
    ------
    ProviderUnusable
        When the ``openai`` package or the key is missing.
    """
    chat = OpenAIChat(
        model=params.model,
        temperature=params.temperature,
        max_tokens=params.max_tokens,
        base_url=os.environ.get("OPENAI_BASE_URL", "").strip() or _OPENAI,
        api_key=os.environ.get("OPENAI_API_KEY", "").strip(),
        timeout_s=_number("FEDMVP_LLM_TIMEOUT_S", 60.0),
        retries=int(_number("FEDMVP_LLM_RETRIES", 6)),
    )
    return DialogueProvider(chat, attempts=params.attempts)


class OpenAIChat:
    """Chat completions of one model on one server; safe to use from several threads.

    Parameters
    ----------
    model : str
    temperature : float
    max_tokens : int
    base_url : str
    api_key : str
        May be empty for servers other than OpenAI's.
    timeout_s : float
        For one whole answer, redirects included.
    retries : int
        Times the client asks again on 408, 409, 429, 5xx and connection errors, waiting 0.5 s,
        1 s, 2 s … 8 s or what Retry-After says.
    """

    def __init__(
        self,
        *,
        model: str,
        temperature: float,
        max_tokens: int,
        base_url: str,
        api_key: str,
        timeout_s: float = 60.0,
        retries: int = 6,
    ) -> None:
        if None in map(importlib.util.find_spec, ("openai", "httpx2")):
            raise ProviderUnusable(
                "the package openai is not installed, or older than 3.54",
                where="attributes.provider",
                value="openai",
                hint="install it with `uv pip install -U openai`, or use provider recorded",
            )
        self._address = server_address(base_url)
        if not api_key and base_url == _OPENAI:
            raise ProviderUnusable(
                "no key",
                where="OPENAI_API_KEY",
                hint="export OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own",
            )
        if not (api_key.isascii() and api_key.isprintable()):
            raise ProviderUnusable(
                "the key contains a character that cannot be sent",
                where="OPENAI_API_KEY",
                hint="copy the key again, without line ends, quotes or accents",
            )
        self._model = model
        addresses = (base_url, self._address.proxy)
        self._secrets = Secrets(
            [api_key, *(text for address in addresses for text in secrets_of_address(address))]
        )
        self._options: dict[str, Any] = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "response_format": _FORMAT,
        }
        self._library: Any = importlib.import_module("openai")
        self._client = self._library.AsyncOpenAI(
            # The client insists on some key; servers without accounts ignore it.
            api_key=api_key or "none",
            base_url=base_url,
            timeout=timeout_s,
            max_retries=retries,
            http_client=self._http_client(timeout_s),
        )
        # Awaiting can be given up at any point, which reading from a socket cannot.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=(self._loop,), name="openai", daemon=True).start()
        end = weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
        end.atexit = False

    def _http_client(self, timeout_s: float) -> Any:
        from fedmvp.attributes.providers.bounded_http import AnswerOutOfBounds, BoundedClient

        self._out_of_bounds = AnswerOutOfBounds
        try:
            return BoundedClient(timeout_s, trust_env=not self._address.here)
        # An invalid proxy address, a SOCKS proxy without its package, or a missing certificate.
        except (ValueError, ImportError, OSError) as error:
            reason = self._secrets.cleaned(str(error))
        raise ProviderUnusable(
            f"the proxy or certificate of the environment cannot be used ({reason})",
            where=self._address.shown,
            hint=self._address.hint("correct HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE"),
        )

    def complete(self, messages: Sequence[Message], ask: Ask) -> Completion:
        """Return the model's next turn."""
        turns = [{"role": turn.role, "content": turn.content} for turn in messages]
        while True:
            options = dict(self._options)
            body, failure = self._call(turns, options)
            if failure is None:
                return self._completion(body)
            if not self._adapt(options, failure):
                raise self._error(failure, ask)

    def _call(
        self, turns: list[dict[str, str]], options: dict[str, Any]
    ) -> tuple[bytes, Exception | None]:
        """Return the raw body, or the client's exception as a value.

        As a value, because an exception raised while another is handled keeps a reference to it,
        and the client's holds the request with its key.
        """
        asked = self._client.chat.completions.with_raw_response.create(
            model=self._model, messages=turns, **options
        )
        answer = asyncio.run_coroutine_threadsafe(asked, self._loop)
        try:
            return bytes(answer.result().http_response.content), None
        except self._library.OpenAIError as error:
            return b"", error
        finally:
            answer.cancel()  # Does nothing unless waiting for it was interrupted.

    def _adapt(self, options: dict[str, Any], failure: Exception) -> bool:
        """Leave out what the server does not know; tell whether asking again makes sense."""
        if getattr(failure, "status_code", None) not in (400, 422):
            return False
        # Reasoning models call the limit by its newer name.
        if "max_tokens" in options and "max_completion_tokens" in str(failure):
            limit = options.pop("max_tokens")
            self._options = {**options, "max_completion_tokens": limit}
            return True
        if "response_format" in options:
            self._options = {key: options[key] for key in options if key != "response_format"}
            return True
        return False

    def _completion(self, body: bytes) -> Completion:
        """Read the protocol's envelope without trusting it."""
        text = body.decode("utf-8", "replace")
        try:
            envelope = json.loads(text)
            choice = envelope["choices"][0]
            message = choice["message"]
            content = message.get("content")
            finish = choice.get("finish_reason")
            refused = message.get("refusal")
            usage = _usage(envelope.get("usage"))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return Completion(text, Usage(calls=1), "the server's reply is not a chat completion")
        if finish == "length":
            return Completion(str(content or ""), usage, "it was cut off at the token limit")
        if refused or finish == "content_filter" or not isinstance(content, str):
            return Completion(str(refused or content or ""), usage, "it is a refusal or no text")
        if self._secrets.revealed_by(content):
            return Completion(content, usage, "it reveals the key or password in use")
        return Completion(content, usage)

    def cleaned(self, text: str) -> str:
        """Return a text for people without key, name and password."""
        return self._secrets.cleaned(text)

    def _error(self, failure: Exception, ask: Ask) -> AttributeTextError:
        """Turn the client's exception into ours, without its request and without secrets."""
        status = getattr(failure, "status_code", None)
        # "Connection error." alone says nothing; what caused it does.
        cause = f" {failure.__cause__}" if status is None and failure.__cause__ else ""
        said = self.cleaned(f"{failure}{cause}")
        where, hint = self._address.shown, self._address.hint
        if status in (401, 403):
            return ProviderUnusable(
                f"the server refuses the key (HTTP {status})",
                where=where,
                hint=hint("check OPENAI_API_KEY and OPENAI_BASE_URL"),
            )
        if status == 404:
            return ProviderUnusable(
                f"no such model or address (HTTP 404): {said}",
                where=where,
                value=self._model,
                hint=hint("check attributes.model and OPENAI_BASE_URL (it usually ends in /v1)"),
            )
        if status == 407:
            return ProviderUnusable(
                "the proxy requires a user name and password (HTTP 407)",
                where=where,
                hint=hint("set HTTP_PROXY to http://NAME:PASSWORD@HOST:PORT"),
            )
        if isinstance(failure, self._out_of_bounds):
            return ProviderUnusable(
                f"the server sends {said}",
                where=where,
                hint=hint("set OPENAI_BASE_URL to the address of a chat server itself"),
            )
        if status is None or status == 429 or status >= 500:
            return ProviderUnusable(
                f"no answer after all retries ({said})", where=where, hint=hint(_AGAIN)
            )
        return AttributeTextError(
            f"the server rejects the question (HTTP {status}): {said}",
            where=ask.place,
            hint=hint("change what it names, e.g. attributes.temperature or max_tokens"),
        )


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _usage(value: Any) -> Usage:
    counts = value if isinstance(value, dict) else {}
    tokens = [counts.get(name) for name in ("prompt_tokens", "completion_tokens")]
    sent, received = (count if isinstance(count, int) and count > 0 else 0 for count in tokens)
    return Usage(calls=1, prompt_tokens=sent, completion_tokens=received)


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise ProviderUnusable(
            "not a number from 0 up",
            where=f"environment variable {variable}",
            value=text,
            hint="unset it or set a number",
        )
    return value
