"""The real ``openai`` client against a server that fails, hangs, refuses or is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses, collect_attributes
from fedmvp.attributes.providers.base import ProviderUnusable, Usage
from fedmvp.attributes.store import AnswerStore
from tests.unit.attributes.conftest import GOOD, ChatServer, Reply, answer_well, class_of, error

pytestmark = pytest.mark.usefixtures("own_folder")

Params = Callable[..., AttributeParams]


@pytest.mark.parametrize(
    "fault",
    [
        error(429, "slow down", retry_after="0.01"),
        error(500, "oops"),
        error(503, "overloaded"),
        error(408, "timeout"),
        Reply(b'{"choices": [{"message"', cut=500),
    ],
    ids=["429", "500", "503", "408", "truncated"],
)
def test_transient_faults_are_waited_out(
    server: ChatServer, collect: Callable[..., Any], fault: Reply
) -> None:
    server.respond = lambda request, number: answer_well(request, number) if number > 1 else fault
    found, _ = collect(("heron",))
    assert found.classes["heron"] == tuple(GOOD["heron"])
    assert len(server.requests) == 3


def test_retry_after_is_honoured(server: ChatServer, collect: Callable[..., Any]) -> None:
    wait = Reply(b"{}", 429, {"retry-after": "1"})
    server.respond = lambda request, number: answer_well(request, number) if number else wait
    started = time.monotonic()
    collect(("heron",))
    assert time.monotonic() - started >= 1.0


def test_timeouts_are_retried_then_fail_with_what_to_do(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDMVP_LLM_TIMEOUT_S", "0.6")
    monkeypatch.setenv("FEDMVP_LLM_RETRIES", "1")

    def hang(request: dict[str, Any], number: int) -> Reply:
        reply = answer_well(request, number)
        reply.delay_s = 1.2
        return reply

    server.respond = hang
    with pytest.raises(ProviderUnusable, match="run the same command again"):
        collect(("heron",))
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_lasting_faults_keep_what_was_answered(
    server: ChatServer,
    collect: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setenv("FEDMVP_LLM_RETRIES", "2")
    collect(("heron",))
    server.respond = lambda request, number: error(status, "no more")
    with pytest.raises(ProviderUnusable, match=r"127\.0\.0\.1"):
        collect()
    assert len(AnswerStore.of("things", tmp_path / "store")) == 1
    server.respond = answer_well
    server.requests.clear()
    collect()
    assert sorted(map(class_of, server.requests)) == ["kettle", "rose"]


@pytest.mark.parametrize(
    ("status", "what"), [(401, "refuses the key"), (403, "refuses the key"), (404, "no such model")]
)
def test_hopeless_statuses_stop_the_run(
    server: ChatServer, params: Params, tmp_path: Path, status: int, what: str
) -> None:
    server.respond = lambda request, number: error(status, "no")
    many = DatasetClasses("many", "Many", tuple(f"thing {n}" for n in range(50)))
    with pytest.raises(ProviderUnusable, match=what):
        collect_attributes(many, params(provider="openai"), folder=tmp_path, workers=2)
    assert len(server.requests) <= 4


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/v1", "nonsense", "http://[::1", "ftp://h/v1", "http://h:99999", ""]
)
def test_unreachable_servers(
    server: ChatServer,
    collect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("FEDMVP_LLM_RETRIES", "0")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ProviderUnusable):
        collect(("heron",))


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_bad_environment_is_named(
    server: ChatServer, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FEDMVP_LLM_TIMEOUT_S", value)
    with pytest.raises(ProviderUnusable, match="FEDMVP_LLM_TIMEOUT_S"):
        collect(("heron",))


def test_interrupted_run_keeps_what_was_answered(
    server: ChatServer, dataset: DatasetClasses, params: Params, tmp_path: Path
) -> None:
    first = threading.Event()

    def stop(class_name: str, usage: Usage) -> None:
        if not first.is_set():
            first.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_attributes(
            dataset, params(provider="openai"), folder=tmp_path, workers=1, observer=stop
        )
    assert 1 <= len(AnswerStore.of("things", tmp_path)) <= 2
