"""Nothing the ``openai`` client or its server says lets a key out."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes.providers.base import ProviderUnusable, Usage
from fedmvp.attributes.providers.secrets import Secrets, secrets_of_address
from fedmvp.attributes.store import AnswerStore
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
        collect(("heron",), attempts=2)
        pytest.fail("an answer with a key in it was taken")
    except AttributeTextError as caught:
        said += [str(caught), repr(caught), "".join(traceback.format_exception(caught))]
        # No chained exception either: the client's carry the request with its headers.
        link: BaseException | None = caught
        while link is not None:
            assert "openai" not in type(link).__module__
            link = link.__cause__ or link.__context__
        assert fault != "echo" or "reveals the key" in str(caught)
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


# Keys of servers without accounts; names and passwords that are words; versions in the query.
ORDINARY = (
    "k",
    "x",
    "e",
    "key",
    "token",
    "tokens",
    "long",
    "grey neck",
    "attributes",
    "content",
    "ollama",
    "stop",
    "100",
    "choices",
    "legs",
)


@pytest.mark.parametrize("key", ORDINARY)
def test_no_key_changes_what_is_recorded(
    server: ChatServer,
    collect: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    found, usage = collect(("heron",))
    assert found.classes["heron"] == tuple(GOOD["heron"])
    assert usage == Usage(1, 100, 20)
    (answer,) = AnswerStore.of("things", tmp_path / "store")
    assert answer.attributes == tuple(GOOD["heron"])


@pytest.mark.parametrize("word", [word for word in ORDINARY if " " not in word])
@pytest.mark.parametrize("form", ["http://{}@", "http://user:{}@", "http://{}:{}@"])
def test_no_account_changes_what_is_recorded(
    server: ChatServer,
    collect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    word: str,
) -> None:
    host = server.url.removeprefix("http://")
    monkeypatch.setenv("OPENAI_BASE_URL", form.format(word, word) + host)
    found, _ = collect(("heron",))
    assert found.classes["heron"] == tuple(GOOD["heron"])


def test_a_rejected_answer_is_kept_without_the_key(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    server.respond = lambda request, number: completion("- the key hunter2\n- a kettle")
    with pytest.raises(AttributeTextError) as caught:
        collect(("kettle",), attempts=1)
    kept = next(Path(".fedmvp/attributes/rejected").iterdir()).read_text()
    assert "hunter2" not in f"{caught.value}{kept}" and "- the key [secret]" in kept


@pytest.mark.parametrize(
    ("secret", "text", "clean"),
    [
        ("k", "Incorrect key k: look", "Incorrect key [secret]: look"),
        ("token", "2 tokens; token=token", "2 tokens; [secret]=[secret]"),
        ("密", "密 和 秘密", "[secret] 和 秘密"),
        ("a.c", "abc a.c", "abc [secret]"),
        (CANARY, f"x{CANARY}y", "x[secret]y"),
    ],
)
def test_messages_are_cleaned_and_stay_readable(secret: str, text: str, clean: str) -> None:
    assert Secrets([secret, ""]).cleaned(text) == clean


def test_every_secret_of_an_address_is_known() -> None:
    address = "https://al%40ice:p%2Bw@host:1/v1?api-version=2024&token=a%20b"
    found = set(secrets_of_address(address))
    assert {"al%40ice", "al@ice", "p%2Bw", "p+w", "2024", "a%20b", "a b"} <= found
    assert set(secrets_of_address("http://localhost:8000/v1")) <= {""}


@pytest.mark.parametrize("key", ["sk-\u00e9t\u00e9", "sk-\u201cquoted\u201d", "two\nlines"])
def test_a_key_that_no_header_can_carry(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ProviderUnusable, match="cannot be sent") as caught:
        collect(("heron",))
    assert key not in str(caught.value) and not server.requests
