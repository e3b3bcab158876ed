"""Nothing the ``openai`` client or its server says lets a key out."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes.providers.base import ProviderUnusable
from fedmvp.errors import AttributeTextError
from tests.unit.attributes.conftest import GOOD, ChatServer, Reply, class_of, completion, error

pytestmark = pytest.mark.usefixtures("own_folder")

CANARY = "sk-canary-7f3a9b2c1d"


def _echo(request: dict[str, Any], number: int) -> Reply:
    """Answer well, with the key in it, as a careless gateway might."""
    own = [*GOOD[class_of(request)][:2], f"sign that reads {CANARY}"]
    return completion(json.dumps({"attributes": own}))


FAULTS: dict[str, Callable[[dict[str, Any], int], Reply]] = {
    "echo": _echo,
    "401": lambda request, number: error(401, f"Incorrect API key provided: {CANARY}"),
    "404": lambda request, number: error(404, f"no route for Bearer {CANARY}"),
    "400": lambda request, number: error(400, f"bad header Authorization: Bearer {CANARY}"),
    "429": lambda request, number: error(429, f"quota of {CANARY} used up"),
    "500": lambda request, number: error(500, f"trace: api_key={CANARY}"),
    "no json": lambda request, number: Reply(f"<html>{CANARY}".encode()),
    "bad answer": lambda request, number: completion(f"your key is {CANARY}"),
    "cut": lambda request, number: Reply(CANARY.encode(), cut=100),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_key_never_leaves(
    server: ChatServer,
    collect: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("FEDMVP_LLM_RETRIES", "1")
    caplog.set_level(logging.DEBUG)
    server.respond = FAULTS[fault]
    said: list[str] = []
    try:
        found, _ = collect(("heron",), attempts=2)
        said.append(repr(found))
    except AttributeTextError as caught:
        said += [str(caught), repr(caught), "".join(traceback.format_exception(caught))]
        # No chained exception either: the client's carry the request with its headers.
        link: BaseException | None = caught
        while link is not None:
            assert "openai" not in type(link).__module__
            link = link.__cause__ or link.__context__
        assert fault != "echo"
    assert server.keys[0] == f"Bearer {CANARY}"
    out = capfd.readouterr()
    said += [out.out, out.err, caplog.text]
    said += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in said if CANARY in text]


def test_secrets_in_the_address_never_leave(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = server.url.removeprefix("http://")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:{CANARY}@{host}")
    server.respond = lambda request, number: error(404, f"no model for {CANARY}")
    with pytest.raises(ProviderUnusable) as caught:
        collect(("heron",))
    assert CANARY not in str(caught.value) and "127.0.0.1" in str(caught.value)
