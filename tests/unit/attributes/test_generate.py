from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes import generate
from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import (
    DatasetClasses,
    asks_of,
    collect_attributes,
    estimated_usage,
    unanswered,
)
from fedmvp.attributes.importing import Imported, import_answers
from fedmvp.attributes.providers.base import Ask, Provider, ProviderUnusable, Reply, Usage
from fedmvp.attributes.store import AnswerStore
from fedmvp.errors import AttributeTextError
from tests.unit.attributes.conftest import GOOD

Params = Callable[..., AttributeParams]


class Counting:
    """A live provider without a model."""

    def __init__(self, fail: dict[str, AttributeTextError] | None = None) -> None:
        self.asked: list[str] = []
        self.fail = fail or {}

    def reply(self, ask: Ask) -> Reply:
        self.asked.append(ask.class_name)
        if error := self.fail.get(ask.class_name):
            raise error
        return Reply(tuple(GOOD[ask.class_name]), Usage(1, 10, 5))


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Counting:
    provider = Counting()

    def open_counting(_: AttributeParams) -> Provider:
        return provider

    entry = generate._Live(open_counting, concurrent=False)
    monkeypatch.setitem(generate._LIVE, "openai", entry)
    return provider


def write_list(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_live_answers_are_recorded_and_never_asked_again(
    tmp_path: Path, dataset: DatasetClasses, params: Params, live: Counting
) -> None:
    seen: list[tuple[str, Usage]] = []
    chosen = params(provider="openai")
    first = collect_attributes(
        dataset, chosen, folder=tmp_path, observer=lambda *note: seen.append(note)
    )
    assert list(first.classes) == list(dataset.classes)
    assert sorted(live.asked) == sorted(GOOD)
    assert sum((usage for _, usage in seen), Usage()) == Usage(3, 30, 15)
    assert collect_attributes(dataset, chosen, folder=tmp_path) == first
    assert len(live.asked) == 3
    assert not unanswered(asks_of(dataset, chosen), AnswerStore.of("things", tmp_path), chosen)


@pytest.mark.parametrize(
    "change",
    [{"model": "n"}, {"template": "paper-v1"}, {"temperature": 0.7}, {"per_class": 2}],
)
def test_another_question_is_asked(
    tmp_path: Path, dataset: DatasetClasses, params: Params, live: Counting, change: dict[str, Any]
) -> None:
    collect_attributes(dataset, params(provider="openai"), folder=tmp_path)
    collect_attributes(dataset, params(**{"provider": "openai", **change}), folder=tmp_path)
    assert len(live.asked) == 6


def test_recorded_answers_serve_provider_recorded_offline(
    tmp_path: Path, dataset: DatasetClasses, params: Params, live: Counting
) -> None:
    collect_attributes(dataset, params(provider="openai"), folder=tmp_path)
    offline = collect_attributes(dataset, params(temperature=0.3, per_class=2), folder=tmp_path)
    assert offline.classes == {name: tuple(own[:2]) for name, own in GOOD.items()}
    assert len(live.asked) == 3


def test_ambiguous_records_ask_for_parameters(
    tmp_path: Path,
    dataset: DatasetClasses,
    params: Params,
    live: Counting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collect_attributes(dataset, params(provider="openai"), folder=tmp_path)
    monkeypatch.setitem(GOOD, "rose", ["pink bud", *GOOD["rose"][1:]])
    collect_attributes(dataset, params(provider="openai", temperature=1), folder=tmp_path)
    with pytest.raises(AttributeTextError, match="2 different recorded answers"):
        collect_attributes(dataset, params(temperature=0.5), folder=tmp_path)
    exact = collect_attributes(dataset, params(temperature=1), folder=tmp_path)
    assert exact.classes["rose"][0] == "pink bud"


def test_one_bad_class_loses_no_other(
    tmp_path: Path, dataset: DatasetClasses, params: Params, live: Counting
) -> None:
    live.fail["kettle"] = AttributeTextError("bad", where="kettle", hint="none")
    with pytest.raises(AttributeTextError, match="kettle"):
        collect_attributes(dataset, params(provider="openai"), folder=tmp_path)
    assert len(AnswerStore.of("things", tmp_path)) == 2
    live.fail.clear()
    collect_attributes(dataset, params(provider="openai"), folder=tmp_path)
    assert live.asked.count("kettle") == 2 and len(live.asked) == 4


@pytest.mark.parametrize(("concurrent", "most"), [(False, 1), (True, 4)])
def test_unusable_provider_stops_at_once(
    tmp_path: Path,
    params: Params,
    live: Counting,
    monkeypatch: pytest.MonkeyPatch,
    concurrent: bool,
    most: int,
) -> None:
    entry = generate._Live(lambda _: live, concurrent=concurrent)
    monkeypatch.setitem(generate._LIVE, "openai", entry)
    many = DatasetClasses("many", "Many", tuple(f"class {n}" for n in range(200)))
    live.fail.update(
        {name: ProviderUnusable("refused", where="server", hint="key") for name in many.classes}
    )
    with pytest.raises(ProviderUnusable, match="refused"):
        collect_attributes(many, params(provider="openai"), folder=tmp_path, workers=4)
    time.sleep(0.2)  # enough for a thread that goes on to ask them all
    assert 1 <= len(live.asked) <= most


def test_missing_records_are_counted_and_say_what_to_do(
    tmp_path: Path, dataset: DatasetClasses, params: Params
) -> None:
    with pytest.raises(AttributeTextError) as caught:
        collect_attributes(dataset, params(), folder=tmp_path)
    message = str(caught.value)
    assert "3 of 3 classes" in message and "'heron'" in message and "things" in message
    assert "fedmvp attributes generate things" in message and "import" in message


@pytest.mark.parametrize("count", [1, 3, 10])
def test_files_of_any_number_per_class(tmp_path: Path, params: Params, count: int) -> None:
    lists = {
        "Sea Horse": [f"Fin of form {n}" for n in range(count)],
        "ant": ["Six legs", "six legs"],
    }
    path = write_list(tmp_path / "d.json", lists)
    two = DatasetClasses("d", "D", ("sea_horse", "ant"))
    found = collect_attributes(two, params(provider="file", path=str(path), per_class=10))
    assert {name: len(own) for name, own in found.classes.items()} == {"sea_horse": count, "ant": 1}


def test_path_names_the_dataset(tmp_path: Path, dataset: DatasetClasses, params: Params) -> None:
    write_list(tmp_path / "things.json", GOOD)
    chosen = params(provider="file", path=str(tmp_path / "{dataset}.json"))
    assert set(collect_attributes(dataset, chosen).classes) == set(GOOD)


@pytest.mark.parametrize(
    ("naming", "kept"), [("drop", ("long beak",)), ("keep", ("a heron", "long beak"))]
)
def test_texts_naming_their_class(
    tmp_path: Path, params: Params, naming: str, kept: tuple[str, ...]
) -> None:
    path = write_list(tmp_path / "d.json", {"heron": ["a heron", "long beak"]})
    one = DatasetClasses("d", "D", ("heron",))
    chosen = params(provider="file", path=str(path), naming=naming)
    assert collect_attributes(one, chosen).classes["heron"] == kept
    with pytest.raises(AttributeTextError, match="names its own class"):
        collect_attributes(one, chosen.model_copy(update={"naming": "reject"}))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([], "not an object"),
        ({"heron": "long beak", "kettle": ["a"], "rose": ["b"]}, "not a list"),
        ({"heron": [], "kettle": ["x"], "rose": ["x"]}, "0 attributes"),
        ({"kettle": ["x"], "rose": ["x"]}, "not in the file"),
        ({"HERON": ["x"], "Heron": ["y"], "kettle": ["x"], "rose": ["x"]}, "spelt 2 ways"),
        ({"heron": [3], "kettle": ["x"], "rose": ["x"]}, "not a text"),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path, dataset: DatasetClasses, params: Params, value: Any, what: str
) -> None:
    path = write_list(tmp_path / "d.json", value)
    with pytest.raises(AttributeTextError, match=what):
        collect_attributes(dataset, params(provider="file", path=str(path)))


def test_imported_lists_are_recorded_once(
    tmp_path: Path, dataset: DatasetClasses, params: Params
) -> None:
    path = write_list(tmp_path / "d.json", GOOD)
    chosen = params(provider="file", path=str(path), model="paper")
    assert import_answers(dataset, chosen, folder=tmp_path) == Imported(3, 0, 0)
    before = (tmp_path / "things.jsonl").read_bytes()
    write_list(path, {name: ["other text"] for name in GOOD})
    assert import_answers(dataset, chosen, folder=tmp_path) == Imported(0, 3, 3)
    assert (tmp_path / "things.jsonl").read_bytes() == before
    found = collect_attributes(dataset, params(model="paper", temperature=1.5), folder=tmp_path)
    assert found.classes["rose"] == tuple(GOOD["rose"])


def test_classes_listed_twice_are_refused(tmp_path: Path, params: Params) -> None:
    with pytest.raises(AttributeTextError, match="'ant'"):
        asks_of(DatasetClasses("d", "D", ("ant", "bee", "ant")), params())


def test_estimate_grows_with_the_questions(dataset: DatasetClasses, params: Params) -> None:
    asks = asks_of(dataset, params())
    one, all_three = estimated_usage(asks[:1]), estimated_usage(asks)
    assert all_three.calls == 3 and all_three.prompt_tokens > 2.5 * one.prompt_tokens
    assert 100 < one.prompt_tokens < 500


def test_file_provider_needs_a_path(params: Params) -> None:
    with pytest.raises(ValueError, match="path"):
        params(provider="file")


def test_unwritable_store_is_found_before_anything_is_asked(
    tmp_path: Path, dataset: DatasetClasses, params: Params, live: Counting
) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    with pytest.raises(ProviderUnusable, match="cannot be recorded"):
        collect_attributes(dataset, params(provider="openai"), folder=tmp_path / "folder")
    assert not live.asked
