from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedmvp.attributes.record import Question, RecordedAnswer
from fedmvp.attributes.store import RECORDED, AnswerStore
from fedmvp.errors import AttributeTextError


def answer(class_name: str, *texts: str, **changes: object) -> RecordedAnswer:
    asked = {"model": "m", "template": "t", "template_sha256": "0" * 64, "context": "c"}
    question = Question(class_name, **{**asked, **changes})  # type: ignore[arg-type]
    return RecordedAnswer(question, texts or ("long neck",), "openai")


def test_answers_come_back(tmp_path: Path) -> None:
    store = AnswerStore.of("zoo", tmp_path)
    first = store.add(answer("../giraffe\n", "long neck", "über-brown patches"))
    again = AnswerStore.of("zoo", tmp_path)
    assert again.get(first.question.key) == first
    assert len(again) == 1
    line = (tmp_path / "zoo.jsonl").read_text(encoding="utf-8")
    assert line.count("\n") == 1 and "über" in line


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"template_sha256": "1" * 64},
        {"context": "d"},
        {"parameters": {"temperature": 0.5}},
    ],
)
def test_everything_that_shapes_the_question_is_in_the_key(change: dict[str, object]) -> None:
    assert answer("ant", **change).question.key != answer("ant").question.key
    assert answer("bee").question.key != answer("ant").question.key
    assert answer("ant", template="renamed").question.key == answer("ant").question.key


def test_first_answer_stands(tmp_path: Path) -> None:
    one, two = AnswerStore.of("zoo", tmp_path), AnswerStore.of("zoo", tmp_path)
    one.add(answer("ant", "six legs"))
    assert two.add(answer("ant", "thin waist")).attributes == ("six legs",)
    assert (tmp_path / "zoo.jsonl").read_text().count("\n") == 1


def test_torn_last_line_is_cut_and_nothing_else_lost(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    store = AnswerStore(path)
    store.add(answer("ant"))
    with path.open("ab") as file:
        file.write(answer("bee").to_line()[:50])
    again = AnswerStore(path)
    assert len(again) == 1
    again.add(answer("cow"))
    assert [a.question.class_name for a in AnswerStore(path)] == ["ant", "cow"]


def test_last_line_without_line_feed_counts(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    path.write_bytes(answer("ant").to_line().rstrip(b"\n"))
    store = AnswerStore(path)
    assert len(store) == 1
    store.add(answer("bee"))
    assert [a.question.class_name for a in AnswerStore(path)] == ["ant", "bee"]


def test_sorting_keeps_everything_and_other_writers_follow(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    one, two = AnswerStore(path), AnswerStore(path)
    for name in ("cow", "ant", "bee"):
        one.add(answer(name))
    two.sort()
    two.add(answer("dog"))
    one.add(answer("eel"))
    one.sort()
    assert [a.question.class_name for a in AnswerStore(path)] == ["ant", "bee", "cow", "dog", "eel"]
    before = path.read_bytes()
    one.sort()
    assert path.read_bytes() == before


def _append(path: Path, worker: int, count: int) -> None:
    store = AnswerStore(path)
    for number in range(count):
        store.add(answer(f"class {number}", f"seen by worker {worker}", "x" * 100))
        store.add(answer(f"own {worker} {number}"))


def test_processes_append_at_once(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(path, n, 40)) for n in range(3)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0, 0, 0]
    assert len(AnswerStore(path)) == 40 + 3 * 40
    # Not one line twice: a question answered by one process is a hit for the others.
    assert path.read_bytes().count(b"\n") == 40 + 3 * 40


def test_killed_writer_loses_nothing_it_recorded(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    code = (
        "import sys\nfrom pathlib import Path\nfrom fedmvp.attributes.record import *\n"
        "from fedmvp.attributes.store import AnswerStore\nstore = AnswerStore(Path(sys.argv[1]))\n"
        "for n in range(10**6):\n"
        "    q = Question(f'class {n}', 'm', 't', '0' * 64, 'c')\n"
        "    store.add(RecordedAnswer(q, ('long neck',), 'openai'))\n"
        "    print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    said = process.stdout.read().count(b"\n") + 20
    process.stdout.close()
    process.wait()
    # Killed between recording an answer and saying so, it leaves one more.
    assert said <= len(AnswerStore(path)) <= said + 1


def test_lock_is_not_held_while_idle(tmp_path: Path) -> None:
    stores = [AnswerStore(tmp_path / "zoo.jsonl") for _ in range(2)]
    started = time.monotonic()
    for number, store in enumerate(stores * 3):
        store.add(answer(f"class {number}"))
    assert time.monotonic() - started < 5


def _line(**changes: object) -> bytes:
    value = json.loads(answer("ant").to_line())
    return json.dumps({**value, **changes}).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"<<<<<<< HEAD\n", "not a JSON object"),
        (b"\n", "not a JSON object"),
        (b"[1]\n", "not an answer"),
        (_line(extra=1), "not an answer"),
        (_line(model=1), "wrong type"),
        (_line(parameters=[]), "wrong type"),
        (_line(parameters={"t": float("nan")}), "not a JSON object"),
        (_line(model="other"), "key does not belong"),
        (_line(attributes=[]), "0 attributes"),
        (_line(attributes=["a\u0000b"]), r"U\+0000"),
        (b"[" * 100_000 + b"\n", "not a JSON object"),
        (b"\xff\xfe\n", "not a JSON object"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: bytes, what: str) -> None:
    path = tmp_path / "zoo.jsonl"
    path.write_bytes(answer("bee").to_line() + line + answer("cow").to_line())
    with pytest.raises(AttributeTextError, match=what) as caught:
        AnswerStore(path)
    assert "zoo" in str(caught.value)


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "a.b"])
def test_dataset_names_stay_inside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(AttributeTextError, match="not a dataset name"):
        AnswerStore.of(name, tmp_path)


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.jsonl")), ids=lambda path: path.stem)
def test_shipped_answers_are_sorted_and_unique(path: Path) -> None:
    store = AnswerStore(path)
    names = [recorded.question.class_name for recorded in store]
    assert names == sorted(names)
    assert path.read_bytes().count(b"\n") == len(store)
