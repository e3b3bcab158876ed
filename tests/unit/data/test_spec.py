from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.spec import dataset_names, load_spec
from fedmvp.errors import ConfigError

EMOJI = {"animals": 157, "food": 130, "objects": 262, "travel": 218, "activities": 84}


@pytest.mark.parametrize("name", sorted({*dataset_names(), *EMOJI}))
def test_shipped_entries_are_valid(name: str) -> None:
    spec = load_spec(name)
    assert len(set(spec.class_names)) == len(spec.classes)
    assert spec.sources


@pytest.mark.parametrize(("name", "classes"), EMOJI.items())
def test_emoji_datasets(name: str, classes: int) -> None:
    spec = load_spec(name)
    assert (len(spec.classes), len(spec.domains)) == (classes, 8)
    assert spec.template.replace("{}", "x") == "an icon of a x."
    assert (spec.sentence.prefix, spec.sentence.suffix) == ("an icon of a", "")


def test_domains_may_have_their_own_sentence(toy: Any) -> None:
    toy()
    spec = load_spec("toy")
    assert spec.sentence_parts("sketch").prefix == "a sketch"
    assert spec.sentence_parts("photo").prefix == spec.sentence_parts().prefix == "a photo of a"


def test_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'animals'"):
        load_spec("animal")


def test_shipped_entries_are_never_replaced(machine: Path) -> None:
    (machine / "catalog" / "food.yaml").write_text("name: food")
    with pytest.raises(ConfigError, match="defined twice"):
        load_spec("food")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "differs from the file's name"),
        ({"colour": "red"}, "colour: unknown key"),
        ({"template": "a photo."}, "template must contain"),
        ({"template": "a {photo} of a {}."}, "template must contain"),
        ({"classes": ["cat", "cat"]}, "class 'cat' is listed twice"),
        ({"classes": ["cat"]}, "at least 2"),
        ({"classes": ["cat", " dog"]}, "begin or end with a space"),
        ({"classes": ["cat", True]}, "classes"),
        ({"domains": None, "sentence": {"prefix": "a"}}, "domains must be listed"),
        ({"sentence": {"prefix": "a", "domains": {"oil": {"prefix": "b"}}}}, "'oil' is not one"),
        ({"split": {"rule": "fractions", "train": 0.8, "val": 0.2}}, "must be below 1"),
        ({"layout": {"reader": "magic"}}, "layout"),
        ({"split_file": {"name": "split_zhou_Toy.json"}}, "split_file has no domains"),
        ({"layout": {"reader": "domain_class_folders", "domain_folders": {"oil": "x"}}}, "'oil'"),
        ({"folder": "../outside"}, "without '..'"),
        ({"sources": [{"kind": "embedded", "files": [{"path": "x"}]}]}, "needs sha256 or md5"),
    ],
)
def test_invalid_entries_are_one_clear_error(
    toy: Any, changes: dict[str, object], message: str
) -> None:
    toy(**changes)
    with pytest.raises(ConfigError, match=message) as raised:
        load_spec("toy")
    assert "toy.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)
