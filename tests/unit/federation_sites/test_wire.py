"""Messages: what comes back is what was sent, and whatever else comes is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import save

from fedmvp.errors import MessageError
from fedmvp.federation import wire
from fedmvp.federation.messages import UNKNOWN_ROUND, EvaluateReply, Refusal, TrainJob, TrainReply
from fedmvp.federation.wire import decode, encode, job_limit, reply_limit

SHAPES = {"w": (2, 3), "a": (4,)}
JOB = TrainJob("run", "é/1", 3, 2, 0.1, {"w": torch.rand(2, 3), "a": torch.rand(4)}, {})
REPLY = TrainReply("a", 3, 7, "lora", {"loss": 0.1 + 0.2}, 40, {"a": torch.rand(4)})


def read(content: bytes, *kinds: Any, limit: int | None = None) -> Any:
    kinds = kinds or (TrainJob, TrainReply, Refusal, EvaluateReply)
    return decode(content, kinds, SHAPES, limit=limit or job_limit(SHAPES), where="reply of site a")


def test_a_message_comes_back_as_it_was() -> None:
    for message in (JOB, replace(JOB, extra={"a": torch.zeros(4)}), REPLY):
        found = read(encode(message))
        assert encode(found) == encode(message)
        assert type(found) is type(message)
        for group in message.GROUPS:
            ours, theirs = getattr(message, group), getattr(found, group)
            # In the order of the method's tensors, which sums are made in.
            assert list(theirs) == [name for name in SHAPES if name in ours]
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read(encode(REPLY)).metrics == {"loss": 0.1 + 0.2}
    counts = EvaluateReply("a", 4, {"known": {"right": [1, 2], "total": [3, 3]}}, ["new"])
    assert read(encode(counts)) == counts
    refusal = Refusal("a", UNKNOWN_ROUND, "OSError: x", "a.py:1 in b")
    assert read(encode(refusal)) == refusal


def test_the_round_of_a_message_is_read_without_the_rest() -> None:
    """A site that could not be opened says which round it could not answer."""
    assert (wire.round_of(encode(JOB)), wire.round_of(encode(REPLY))) == (3, 3)
    for content in (b"", b"no message", encode(JOB)[:40], save({"w": torch.ones(1)})):
        assert wire.round_of(content) == UNKNOWN_ROUND


def test_the_largest_messages_are_within_their_limits() -> None:
    shapes = {f"layer{k}.weight": (100, 100) for k in range(20)}
    tensors = {name: torch.rand(*shape) for name, shape in shapes.items()}
    job = TrainJob("r" * 100, "c" * 200, 10**9, 10**9, 0.1, tensors, tensors)
    assert decode(encode(job), (TrainJob,), shapes, limit=job_limit(shapes), where="job").extra
    reply = replace(REPLY, tensors=tensors)
    assert len(encode(reply)) <= reply_limit(shapes)


def test_length_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: bytes) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(wire, "parse_header", fail)
    with pytest.raises(MessageError, match=r"^reply of site a: has 300 bytes, more than any.*200"):
        read(b"x" * 300, limit=200)


def test_no_tensor_is_made_of_a_message_whose_header_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(content: bytes) -> None:
        raise AssertionError("made")

    monkeypatch.setattr(wire, "parse_tensors", fail)
    for tensors in ({"a": torch.zeros(5)}, {"b": torch.zeros(4)}, {"a": torch.zeros(4).double()}):
        with pytest.raises(MessageError):
            read(encode(replace(REPLY, tensors=tensors)))


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"b": torch.zeros(4)}, r"'tensors/b' is not one of the method's"),
        ({"a": torch.zeros(5)}, r"tensor a has shape \(5,\), expected \(4,\)"),
        ({"a": torch.zeros(4, dtype=torch.float64)}, r"tensor a is of format 'F64', not float32"),
        ({"a": torch.zeros(4, dtype=torch.int32)}, r"of format 'I32'"),
        ({"a": torch.tensor([0, torch.nan, 0, 0])}, r"tensors/a has values that are not finite"),
        ({"a": torch.tensor([0, 0, 0, torch.inf])}, r"not finite"),
    ],
)
def test_wrong_tensors_are_named(tensors: Any, text: str) -> None:
    with pytest.raises(MessageError, match=text):
        read(encode(replace(REPLY, tensors=tensors)))


def forged(kind: str = "update", **changes: Any) -> bytes:
    fields = {"client": "a", "round_index": 3, "images": 7, "phase": "lora", "metrics": {}}
    fields |= {"bytes_down": 40} | changes
    fields = {key: value for key, value in fields.items() if value is not None}
    head = json.dumps({"format": 1, "kind": kind, "fields": fields})
    return save({"tensors/a": torch.zeros(4)}, metadata={"fedmvp": head})


def test_the_forger_can_write_what_is_taken() -> None:
    assert read(forged()).images == 7


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"images": 0}, "field images: .*greater than or equal to 1"),
        ({"images": True}, "field images"),
        ({"images": "7"}, "field images"),
        ({"images": 10**30}, "field images"),
        ({"round_index": -1}, "field round_index"),
        ({"client": ""}, "field client"),
        ({"client": 3}, "field client"),
        ({"phase": "=cmd()"}, "field phase"),
        ({"phase": None}, "field phase: Field required"),
        ({"metrics": {"client": 1.0}}, "field metrics.client"),
        ({"metrics": {"loss": "x"}}, "field metrics.loss"),
        ({"metrics": {"loss": float("nan")}}, "NaN is not JSON"),
        ({"metrics": {"loss": 1e308 * 10}}, "Infinity is not JSON"),
        ({"path": "/home/ann"}, "field path"),
    ],
)
def test_wrong_fields_are_named_and_not_repeated(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(MessageError, match=f"cannot be read .*{text}") as caught:
        read(forged(**changes))
    assert "/home" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04.",
        b"\xff" * 100,
        encode(REPLY)[:-1],
        save({"tensors/a": torch.zeros(4)}),
        save({"a": torch.zeros(4)}, metadata={"fedmvp": '{"format": 0}'}),
        save({}, metadata={"fedmvp": '{"format": 1, "kind": "update", "fields": {'}),
        save({}, metadata={"fedmvp": '{"format": 1, "kind": "update", "fields": []}'}),
        save({}, metadata={"fedmvp": '{"format": 1, "kind": "shell", "fields": {}}'}),
        save({}, metadata={"fedmvp": '{"format": 1, "kind": ["update"], "fields": {}}'}),
        save({}, metadata={"fedmvp": "[" * 100_000}),
    ],
)
def test_anything_else_is_no_message(content: bytes) -> None:
    with pytest.raises(MessageError, match=r"^reply of site a: cannot be read"):
        read(content)


def test_what_was_not_asked_for_is_refused() -> None:
    with pytest.raises(MessageError, match=r"'update' is not what was asked for"):
        read(encode(REPLY), TrainJob)
