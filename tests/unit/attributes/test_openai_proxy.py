"""A server on this machine is asked directly; one behind a proxy fails with the proxy's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fedmvp.attributes.providers.base import ProviderUnusable
from fedmvp.attributes.providers.server_address import server_address
from tests.unit.attributes.conftest import GOOD, ChatServer, Reply

pytestmark = pytest.mark.usefixtures("own_folder")

NOWHERE = "http://alice:s3cretpw@127.0.0.1:9"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("proxy", [NOWHERE, "socks5://127.0.0.1:9", "nonsense"])
def test_no_proxy_for_a_server_on_this_machine(
    server: ChatServer,
    collect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    host: str,
    proxy: str,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("127.0.0.1", host))
    monkeypatch.setenv(variable, proxy)
    found, _ = collect(("heron",))
    assert found.classes["heron"] == tuple(GOOD["heron"])


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.8.9.1:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://0.0.0.0:11434/v1", True),
        ("http://llm.localhost/v1", True),
        ("http://192.168.1.7/v1", False),
        ("https://localhost.example.org/v1", False),
    ],
)
def test_what_is_on_this_machine(url: str, here: bool) -> None:
    assert server_address(url).here == here


@pytest.mark.parametrize("status", [0, 403, 404, 407, 503])
def test_a_proxy_that_fails_is_named(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    own = server.url.removesuffix("/v1").replace("//", "//alice:s3cretpw@")
    monkeypatch.setenv("HTTP_PROXY", own if status else NOWHERE)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://llm.example:8000/v1")
    monkeypatch.setenv("FEDMVP_LLM_RETRIES", "0")
    server.respond = lambda request, number: Reply(b"<html>no</html>", status)
    with pytest.raises(ProviderUnusable) as caught:
        collect(("heron",))
    said = str(caught.value)
    assert "server llm.example:8000, through the proxy of HTTP_PROXY" in said
    assert "add it to NO_PROXY" in said and "s3cretpw" not in said and "alice" not in said
    assert len(server.requests) == bool(status)


@pytest.mark.parametrize("proxy", ["socks5://alice:s3cretpw@127.0.0.1:9", "gopher://s3cretpw@h:1"])
def test_a_proxy_that_cannot_be_used_is_named(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://llm.example:8000/v1")
    with pytest.raises(ProviderUnusable, match=r"through the proxy of ALL_PROXY") as caught:
        collect(("heron",))
    assert "s3cretpw" not in str(caught.value)


def test_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("NO_PROXY", "llm.example")
    assert server_address("http://llm.example/v1").proxy_variable == ""
    assert server_address("http://other.example/v1").proxy_variable == "HTTP_PROXY"


def test_a_refused_connection_says_so(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("FEDMVP_LLM_RETRIES", "0")
    with pytest.raises(ProviderUnusable, match=r"connection attempts failed|refused"):
        collect(("heron",))
