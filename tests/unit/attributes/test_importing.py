"""Lists imported from a file: every failing class is named, with the option that helps."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses
from fedmvp.attributes.importing import Imported, import_answers, read_answers
from fedmvp.errors import AttributeTextError

CLASSES = tuple(
    f"{kind} {beast}"
    for kind in ("red", "grey")
    for beast in ("fox", "owl", "seal", "crab", "frog")
)
LISTS = {name: ["long tail", "bright eyes"] for name in CLASSES}


def read(path: Path, lists: Any, naming: str = "reject", classes: tuple[str, ...] = CLASSES) -> Any:
    if not path.exists():
        path.write_text(json.dumps(lists), encoding="utf-8")
    params = AttributeParams.model_validate(
        {
            "provider": "file",
            "path": str(path),
            "model": "own",
            "template": "visual-v1",
            "per_class": 100,
            "naming": naming,
        }
    )
    return read_answers(DatasetClasses("beasts", "Beasts", classes), params)


def test_attributes_that_name_their_class(tmp_path: Path) -> None:
    lists = {**LISTS, **{name: [f"a {name}", "long tail"] for name in CLASSES[:9]}}
    with pytest.raises(AttributeTextError) as caught:
        read(tmp_path / "a.json", lists)
    message = str(caught.value)
    assert "9 attributes of 9 of 10 classes name their own class: 'red fox', 'red owl'" in message
    assert "'grey crab' and 1 more" not in message and "and 1 more" in message
    assert "--naming drop" in message and "--naming keep" in message
    dropped = read(tmp_path / "a.json", lists, "drop")
    assert [answer.attributes for answer in dropped[:2]] == [("long tail",)] * 2
    kept = read(tmp_path / "a.json", lists, "keep")
    assert kept[0].attributes == ("a red fox", "long tail")


def test_every_failing_class_is_named_by_reason(tmp_path: Path) -> None:
    lists = {**LISTS, "red fox": "long tail", "grey fox": [1], "red owl": "x"}
    del lists["grey crab"], lists["grey frog"]
    with pytest.raises(AttributeTextError) as caught:
        read(tmp_path / "a.json", lists)
    message = str(caught.value)
    assert "5 of 10 classes fail: not a list of texts: 'red fox', 'red owl'" in message
    assert "attribute is not a text: 'grey fox'" in message
    assert "class is not in the file: 'grey crab', 'grey frog'" in message


def test_a_class_whose_attributes_all_name_it_cannot_be_dropped(tmp_path: Path) -> None:
    with pytest.raises(AttributeTextError, match=r"'red fox': 0 attributes"):
        read(tmp_path / "a.json", {**LISTS, "red fox": ["red fox"]}, "drop")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
@pytest.mark.parametrize("in_catalog", ["NFC", "NFD"])
def test_encodings_and_forms_of_letters(
    tmp_path: Path, encoding: str, in_file: Any, in_catalog: Any
) -> None:
    lists = {unicodedata.normalize(in_file, "café"): ["small cup"]}
    text = json.dumps(lists, ensure_ascii=False, indent=1).replace("\n", "\r\n")
    (tmp_path / "a.json").write_bytes(text.encode(encoding))
    classes = (unicodedata.normalize(in_catalog, "café"),)
    (answer,) = read(tmp_path / "a.json", lists, classes=classes)
    assert answer.attributes == ("small cup",)


def test_what_stands_and_differs_is_counted(tmp_path: Path) -> None:
    def run(lists: Any) -> Imported:
        (tmp_path / "a.json").write_text(json.dumps(lists), encoding="utf-8")
        params = AttributeParams(
            provider="file",
            path=str(tmp_path / "a.json"),
            model="own",
            template="visual-v1",
            per_class=100,
        )
        dataset = DatasetClasses("beasts", "Beasts", CLASSES)
        return import_answers(dataset, params, folder=tmp_path)

    assert run(LISTS) == Imported(10, 0, 0)
    assert run(LISTS) == Imported(0, 10, 0)
    assert run({**LISTS, "red fox": ["short tail"]}) == Imported(0, 10, 1)
