"""A round waits for its replies until its deadline, on a clock the test turns."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from fedmvp.federation.replies import Lost, Replies


class Clock:
    """Goes on by a second at each look at it, so that waiting ends."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        self.time_s += 1.0
        return self.time_s


def text(client: str, content: bytes) -> str | None:
    return None if content == b"old" else content.decode()


def replies(stop: Callable[[], None] = lambda: None) -> tuple[Replies, Clock]:
    clock = Clock()
    return Replies(100, stop, clock), clock


def test_replies_are_yielded_in_the_order_they_were_asked_for() -> None:
    box, _ = replies()
    asked = box.collect(["a", "b", "c"], 60, text)
    box.put("c", b"3")
    next_one = threading.Thread(target=lambda: (box.put("b", b"2"), box.put("a", b"1")))
    next_one.start()
    assert list(asked) == [("a", "1"), ("b", "2"), ("c", "3")]
    next_one.join()


def test_who_misses_the_deadline_is_lost_and_the_others_are_not() -> None:
    box, _ = replies()
    box.put("c", b"3")
    assert list(box.collect(["a", "b", "c"], 20, text)) == [
        ("a", Lost("gave no reply within 20 s")),
        ("b", Lost("gave no reply within 20 s")),
        ("c", "3"),
    ]


def test_a_late_reply_is_dropped_and_does_not_answer_the_next_question() -> None:
    box, clock = replies()
    assert dict(box.collect(["a"], 5, text))["a"] == Lost("gave no reply within 5 s")
    box.put("a", b"old")
    box.put("a", b"new")
    assert list(box.collect(["a"], 60, text)) == [("a", "new")]
    # One that came in time counts, though others made the loop wait beyond the deadline.
    asked = box.collect(["a", "b"], 10, text)
    box.put("b", b"in time")
    assert next(asked)[1] == Lost("gave no reply within 10 s")
    clock.time_s += 1000
    box.put("b", b"second")
    assert next(asked) == ("b", "in time")


def test_what_comes_twice_or_uncalled_is_dropped() -> None:
    box, _ = replies()
    for client, content in (("a", b"1"), ("a", b"2"), ("stranger", b"3"), ("b", b"4")):
        box.put(client, content)
    assert list(box.collect(["a", "b"], 60, text)) == [("a", "1"), ("b", "4")]


def test_a_huge_reply_is_never_kept() -> None:
    box, _ = replies()
    box.put("a", b"x" * 101)
    assert list(box.collect(["a"], 60, text)) == [
        ("a", Lost("its reply has 101 bytes, more than 100"))
    ]


def test_news_of_a_loss_ends_the_wait_at_once() -> None:
    box, clock = replies()
    box.put("a", Lost("is away"))
    assert list(box.collect(["a"], 1e9, text)) == [("a", Lost("is away"))]
    assert clock.time_s < 10


def test_waiting_can_be_stopped() -> None:
    looks: list[int] = []

    def stop() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    box, _ = replies(stop)
    with pytest.raises(KeyboardInterrupt):
        next(box.collect(["a"], 1e9, text))
