"""The server's side: whatever a site sends, the round goes on or ends in one clear line."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import CheckpointError, ClientFailure
from fedmvp.federation.aggregation.rules import Aggregator
from fedmvp.federation.client import ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.messages import EvaluateReply, TrainReply
from fedmvp.federation.outgoing import check_outgoing
from fedmvp.federation.remote import RemoteBackend
from fedmvp.federation.site_training import train_sites
from fedmvp.federation.wire import decode, encode
from tests.unit.federation_sites.loopback import Loopback, plan_of

pytestmark = pytest.mark.usefixtures("words")

SKIP = {"on_client_failure": "skip", "rounds": 2}


def tampered(
    loopback: Loopback, change: Callable[[TrainReply], list[tuple[str, bytes]]], **options: Any
) -> RemoteBackend:
    """Return a server to which beta sends something else, by (sender, bytes)."""

    def send(jobs: Mapping[str, bytes]) -> None:
        for client, job in jobs.items():
            sent = [(client, loopback.sites[client].handle(job))]
            if client == "beta":
                shapes = loopback.sites[client].shapes
                reply = decode(sent[0][1], (TrainReply,), shapes, limit=10**9, where="reply")
                sent = change(reply)
            for sender, content in sent:
                backend.deliver(sender, content)

    method = loopback.plan.create(loopback.backbone)
    backend = RemoteBackend(loopback.plan, method, send, **{"deadline_s": 0.5, **options})
    return backend


def first(reply: TrainReply) -> str:
    return next(iter(reply.tensors))


def nan(reply: TrainReply) -> list[tuple[str, bytes]]:
    bad = torch.full_like(reply.tensors[first(reply)], torch.nan)
    return [("beta", encode(replace(reply, tensors={**reply.tensors, first(reply): bad})))]


def wrong_name(reply: TrainReply) -> list[tuple[str, bytes]]:
    return [("beta", encode(replace(reply, tensors={"module.w": torch.zeros(2)})))]


def double(reply: TrainReply) -> list[tuple[str, bytes]]:
    tensors = {name: tensor.double() for name, tensor in reply.tensors.items()}
    return [("beta", encode(replace(reply, tensors=tensors)))]


def incomplete(reply: TrainReply) -> list[tuple[str, bytes]]:
    return [("beta", encode(replace(reply, tensors={})))]


def strange_phase(reply: TrainReply) -> list[tuple[str, bytes]]:
    return [("beta", encode(replace(reply, phase="fine_tuning")))]


def huge(reply: TrainReply) -> list[tuple[str, bytes]]:
    return [("beta", b"\0" * 30_000_000)]


def another(reply: TrainReply) -> list[tuple[str, bytes]]:
    return [("beta", encode(replace(reply, client="alpha")))]


def earlier(reply: TrainReply) -> list[tuple[str, bytes]]:
    return [("beta", encode(replace(reply, round_index=17)))]


def other_kind(reply: TrainReply) -> list[tuple[str, bytes]]:
    counts = {"known": {"right": [1], "total": [2]}}
    return [("beta", encode(EvaluateReply("beta", reply.round_index, counts, [])))]


def nothing(reply: TrainReply) -> list[tuple[str, bytes]]:
    return []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (nan, "MessageError: reply of site beta: cannot be read .*not finite"),
        (wrong_name, "not one of the method's"),
        (double, "of format 'F64', not float32"),
        (incomplete, "ClientFailure: update of client beta: has 0 tensors, phase all sends 1"),
        (strange_phase, "names a phase the method does not have; got 'fine_tuning'"),
        (huge, "site beta its reply has 30,000,000 bytes, more than"),
        (another, "reply of site beta: names another client"),
        (earlier, "site beta gave no reply within 0.5 s"),
        (other_kind, "site beta gave no reply within 0.5 s"),
        (nothing, "site beta gave no reply within 0.5 s"),
    ],
)
def test_an_unusable_reply_is_that_sites_failure(
    tiny: Backbone, tmp_path: Path, change: Any, text: str
) -> None:
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl", **SKIP))
    backend = tampered(loopback, change)
    result = train_sites(loopback.plan, backend.method, backend, tmp_path / "server").result
    assert [(f["client"], f["round_index"]) for f in result.failures] == [("beta", 0), ("beta", 1)]
    assert {row["client"] for row in result.rows} == {"alpha", "gamma"}

    assert re.search(text, result.failures[0]["error"]), result.failures[0]["error"]
    strict = Loopback(tmp_path / "strict", tiny, plan_of(tiny, "promptfl", rounds=2))
    backend = tampered(strict, change)
    with pytest.raises(ClientFailure, match=r"^site beta, round 0: .*; hint: ") as caught:
        train_sites(strict.plan, backend.method, backend, tmp_path / "strict server")
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("hint: ") == 1


def test_a_reply_twice_counts_once(tiny: Backbone, tmp_path: Path) -> None:
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl", rounds=2))
    backend = tampered(loopback, lambda reply: 2 * [("beta", encode(reply))])
    result = train_sites(loopback.plan, backend.method, backend, tmp_path / "server").result
    plain = loopback.server()
    again = train_sites(loopback.plan, plain.method, plain, tmp_path / "other server").result
    assert result.rows == again.rows
    assert all(torch.equal(result.tensors[name], again.tensors[name]) for name in again.tensors)


def test_too_few_replies_stop_the_run(tiny: Backbone, tmp_path: Path) -> None:
    plan = plan_of(tiny, "promptfl", min_clients=3, **SKIP)
    loopback = Loopback(tmp_path, tiny, plan)
    backend = tampered(loopback, nothing)
    with pytest.raises(ClientFailure, match=r"round 0 has 2 usable updates of 3.*min_clients"):
        train_sites(plan, backend.method, backend, tmp_path / "server")


def test_noise_is_drawn_from_a_secret_of_the_server(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sites know the plan's seed; a run that resumes goes on with the same secret."""
    seeds = []

    class Told(Aggregator):
        def __init__(self, federation: Any, state: Any, seed: int) -> None:
            super().__init__(federation, state, seed)
            seeds.append(seed)

    monkeypatch.setattr("fedmvp.federation.rounds.Aggregator", Told)
    privacy = {"clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    plan = plan_of(tiny, "promptfl", rounds=1, privacy=privacy)
    loopback = Loopback(tmp_path, tiny, plan)
    for folder in ("one", "one", "two"):
        backend = loopback.server()
        train_sites(plan, backend.method, backend, tmp_path / folder)
    assert seeds[0] == seeds[1]
    assert plan.seed not in seeds
    assert seeds[2] != seeds[0]
    secret = tmp_path / "one/noise_seed"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    secret.write_text("", encoding="ascii")
    with pytest.raises(CheckpointError, match="noise_seed: is not a number"):
        train_sites(plan, backend.method, backend, tmp_path / "one")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t, n: t | {"gate.w": torch.zeros(1)}, r"tensor may not be sent; got 'gate.w'"),
        (lambda t, n: {k: v for k, v in t.items() if k != n}, r"tensor is missing"),
        (lambda t, n: t | {n: t[n].double()}, r"is torch.float64"),
        (lambda t, n: t | {n: t[n][..., :1]}, r"is torch.float32 \("),
        (lambda t, n: t | {n: t[n] + 10}, r"norm is .*, more than this site allows; got 1.0"),
        (lambda t, n: t | {n: t[n] * torch.nan}, r"norm is nan"),
    ],
)
def test_what_leaves_a_site_is_checked_there(tiny: Backbone, change: Any, text: str) -> None:
    method = plan_of(tiny, "fedotp").create(tiny)
    start = {name: tensor.detach() for name, tensor in method.tensors().items()}
    sent = {name: start[name] for name in method.communicated("all")}
    good = ClientUpdate("a", sent, 1, "all", {}, 0)
    check_outgoing(good, start, method, 1.0)
    bad = replace(good, tensors=change(dict(sent), next(iter(sent))))
    with pytest.raises(ClientFailure, match=f"^outgoing update of client a: .*{text}"):
        check_outgoing(bad, start, method, 1.0)


def test_a_failure_is_yielded_in_the_place_of_its_client(tiny: Backbone, tmp_path: Path) -> None:
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl", **SKIP))
    loopback.absent = lambda client, number: client == "alpha"
    backend = loopback.server()
    start = {name: tensor.detach() for name, tensor in backend.method.tensors().items()}
    found = list(backend.run(start, loopback.plan.clients, 0, 0.01))
    assert [type(result) for result in found] == [Failure, ClientUpdate, ClientUpdate]
    assert [result.client for result in found] == list(loopback.plan.clients)
