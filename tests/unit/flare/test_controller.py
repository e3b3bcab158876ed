"""The controller's jobs, the site's executor and filter: what crosses an engine, without one."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import MessageError
from fedmvp.federation.flare.events import Events, read_events
from fedmvp.federation.flare.opening import AnsweringSite
from fedmvp.federation.flare.served import ObservedBackend, Paused
from fedmvp.federation.messages import Refusal, TrainReply
from fedmvp.federation.remote import RemoteBackend
from fedmvp.federation.site_training import train_sites
from fedmvp.federation.wire import encode
from tests.unit.federation_sites.loopback import Loopback, in_process, plan_of

pytest.importorskip("nvflare")

pytestmark = [pytest.mark.usefixtures("words"), pytest.mark.slow]


class Engine:
    """Takes the controller's tasks to the sites at once, and their answers back."""

    def __init__(self, loopback: Loopback) -> None:
        from fedmvp.federation.flare.controller import FederationController

        self.loopback = loopback
        self.controller = FederationController()
        self.controller.broadcast = self.broadcast
        self.controller.cancel_task = lambda task: self.cancelled.append(task)
        self.cancelled: list[Any] = []
        self.times = 1
        self.dead: tuple[str, ...] = ()

    def broadcast(self, task: Any, ctx: Any, targets: list[str], min_responses: int) -> None:
        from nvflare.apis.controller_spec import TaskCompletionStatus

        from fedmvp.federation.flare.message import content_of, message_of

        (client,) = targets
        if client in self.dead:
            task.completion_status, task.targets = TaskCompletionStatus.CLIENT_DEAD, targets
            self.controller.ended(task, ctx)
            return
        reply = self.loopback.sites[client].handle(content_of(task.data))
        for _ in range(self.times):
            answer = SimpleNamespace(client=SimpleNamespace(name=client), result=message_of(reply))
            self.controller.answered(answer, ctx)

    def backend(self) -> RemoteBackend:
        from fedmvp.federation.flare.controller import JobSender

        plan = self.loopback.plan
        method = plan.create(self.loopback.backbone)
        send = JobSender(self.controller, None)
        backend = RemoteBackend(plan, method, send, deadline_s=60)
        self.controller.backend = backend
        return backend


@pytest.fixture
def engine(tiny: Backbone, tmp_path: Path) -> Engine:
    plan = plan_of(tiny, "promptfl", on_client_failure="skip", client_state="persistent")
    return Engine(Loopback(tmp_path, tiny, plan))


def train(engine: Engine, folder: Path, **changes: Any) -> Any:
    backend = engine.backend()
    events = Events(folder / "events.jsonl")
    told = ObservedBackend(
        backend, folder / "pause", events, changes.get("out", {}), engine.controller.heard
    )
    return train_sites(engine.loopback.plan, backend.method, told, folder / "rounds").result


def test_over_the_controller_the_bytes_are_those_of_one_process(
    engine: Engine, tmp_path: Path
) -> None:
    expected, _ = in_process(engine.loopback)
    engine.times = 2  # each answer comes twice
    found = train(engine, tmp_path)
    assert save(found.tensors) == save(expected.tensors)
    assert found.rows == expected.rows
    kinds = [event["event"] for _, event in read_events(tmp_path / "events.jsonl")]
    rounds = engine.loopback.plan.resolved().rounds
    assert kinds == ["round", "update", "update", "update"] * rounds
    # Nothing of a round stands when the next begins.
    assert len(engine.cancelled) == 3 * (rounds - 1)


def test_a_site_the_engine_lost_costs_no_deadline(engine: Engine, tmp_path: Path) -> None:
    engine.dead = ("beta",)
    found = train(engine, tmp_path)
    assert {(f["client"], f["error"]) for f in found.failures} == {
        ("beta", "site beta was lost: it no longer sends heartbeats")
    }
    missed = [e for _, e in read_events(tmp_path / "events.jsonl") if e["event"] == "missed"]
    assert {(event["site"], event["heard"]) for event in missed} == {("beta", False)}


def test_a_site_that_was_left_out_is_never_asked(engine: Engine, tmp_path: Path) -> None:
    asked: list[str] = []
    handle = engine.loopback.sites["gamma"].handle
    engine.loopback.sites["gamma"].handle = lambda job: asked.append("gamma") or handle(job)  # type: ignore[method-assign,func-returns-value]
    found = train(engine, tmp_path, out={"gamma": "was refused: method differs"})
    assert not asked
    assert {f["client"] for f in found.failures} == {"gamma"}
    assert "method differs" in found.failures[0]["error"]


def test_a_pause_ends_the_job_at_a_rounds_border_and_the_next_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    expected, _ = in_process(engine.loopback)
    backend = engine.backend()
    events = Events(tmp_path / "events.jsonl")
    told = ObservedBackend(backend, tmp_path / "pause", events, {}, engine.controller.heard)
    run = told.run

    def pausing(*words: Any, **named: Any) -> Any:
        if len(list(read_events(tmp_path / "events.jsonl"))) == 8:  # after two rounds
            (tmp_path / "pause").touch()
        return run(*words, **named)

    told.run = pausing  # type: ignore[method-assign]
    with pytest.raises(Paused):
        train_sites(engine.loopback.plan, backend.method, told, tmp_path / "rounds")
    (tmp_path / "pause").unlink()
    found = train(engine, tmp_path)
    assert save(found.tensors) == save(expected.tensors)
    assert [
        e["round"] for _, e in read_events(tmp_path / "events.jsonl") if e["event"] == "round"
    ] == [
        0,
        1,
        2,
        3,
    ]


def test_a_pause_that_a_silent_site_brings_is_waited_for_before_the_next_round(
    engine: Engine, tmp_path: Path
) -> None:
    engine.dead = ("beta",)
    path = tmp_path / "events.jsonl"
    backend, events = engine.backend(), Events(path)
    told = ObservedBackend(backend, tmp_path / "pause", events, {}, engine.controller.heard)
    # As the supervisor does it: some time after it has read that the site said nothing.
    write = events.write

    def noticed(event: str, **fields: Any) -> None:
        write(event, **fields)
        if event == "missed":
            threading.Timer(0.3, (tmp_path / "pause").touch).start()

    events.write = noticed  # type: ignore[method-assign]
    with pytest.raises(Paused):
        train_sites(engine.loopback.plan, backend.method, told, tmp_path / "rounds")
    assert [e["round"] for _, e in read_events(path) if e["event"] == "round"] == [0]


def reply_of(engine: Engine, **changes: Any) -> bytes:
    tensors = engine.backend().method.tensors()
    values: dict[str, Any] = {
        "client": "alpha",
        "round_index": 0,
        "images": 9,
        "phase": engine.backend().method.first_phase,
        "metrics": {"loss": 1.0},
        "bytes_down": 4,
        "tensors": {name: tensor.detach() for name, tensor in tensors.items()},
    }
    return encode(TrainReply(**{**values, **changes}))


def filtered(engine: Engine, content: Any) -> Any:
    from nvflare.apis.shareable import Shareable

    from fedmvp.federation.flare.executor import SITE
    from fedmvp.federation.flare.site_filter import SiteFilter

    site = engine.loopback.sites["alpha"]
    answering = AnsweringSite("alpha", site.handle, site.shapes)
    ctx = SimpleNamespace(get_prop=lambda key: answering if key == SITE else None)
    message = Shareable()
    message["message"] = content
    message["beside"] = "a path"
    return SiteFilter().process(message, ctx)


def test_the_filter_lets_the_message_out_and_nothing_beside_it(engine: Engine) -> None:
    content = reply_of(engine)
    left = filtered(engine, content)
    assert left["message"] == content
    assert "beside" not in left
    refusal = encode(Refusal("alpha", 0, "error", ""))
    assert filtered(engine, refusal)["message"] == refusal


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: {"client": "beta"}, "another client"),
        (lambda t: {"tensors": {"other": torch.zeros(2)}}, "not one of the method's"),
        (lambda t: {"tensors": {n: v.double() for n, v in t.items()}}, "not float32"),
        (lambda t: {"tensors": {n: v[..., :1] for n, v in t.items()}}, "has shape"),
        (lambda t: {"tensors": {n: v * float("nan") for n, v in t.items()}}, "not finite"),
    ],
)
def test_the_filter_stops_what_may_not_leave(engine: Engine, spoil: Any, told: str) -> None:
    tensors = {n: t.detach() for n, t in engine.backend().method.tensors().items()}
    with pytest.raises(MessageError, match=told):
        filtered(engine, reply_of(engine, **spoil(tensors)))


@pytest.mark.parametrize("content", [b"", b"text", None, "text", bytes(1 << 24)])
def test_the_filter_stops_what_is_no_message(engine: Engine, content: Any) -> None:
    with pytest.raises(MessageError):
        filtered(engine, content)
