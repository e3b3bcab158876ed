"""params.yaml: what is there is validated, what is wrong is named in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmvp.config import FederationParams, Params, load_params, parse_section
from fedmvp.errors import ConfigError
from fedmvp.yaml_files import load_yaml
from tests.paths import ROOT

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    loaded: Document = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def parse(document: Document, path: Path) -> Params:
    path.write_text(yaml.safe_dump(document))
    return load_params(path)


def put(document: Document, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        document = document[parent]
    document[last] = value


def test_the_shipped_file_is_valid() -> None:
    params = load_params(ROOT / "params.yaml")
    for name in (*params.run.zero_shot, *params.run.trained):
        assert name in params.methods


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("federation.roundz", 3, r"federation\.roundz: unknown key; got 3; hint: .*rounds"),
        ("run.seeds", [], r"run\.seeds"),
        ("run.seeds", [1, 1], "seeds repeats an entry"),
        ("run.seeds", [-1], r"run\.seeds\.0"),
        ("run.trained", ["zero_shot"], "listed as zero_shot and as trained"),
        ("run.settings", ["../etc"], r"run\.settings\.0"),
        ("federation.participation", 0, r"federation\.participation"),
        ("federation.participation", 1.5, r"federation\.participation"),
        ("federation.learning_rate", "fast", r"federation\.learning_rate.*got 'fast'"),
        ("federation.learning_rate", float("nan"), r"federation\.learning_rate"),
        ("federation.momentum", 1.0, r"federation\.momentum"),
        ("federation.schedule", "linear", r"federation\.schedule"),
        ("federation.rounds", 2.5, r"federation\.rounds"),
        ("backbone.precision", "fp8", r"backbone\.precision"),
        ("evaluation", None, "evaluation"),
        ("surprise", {}, "surprise: unknown key"),
    ],
)
def test_what_is_wrong_is_named(
    document: Document, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    put(document, key, value)
    with pytest.raises(ConfigError, match=message) as caught:
        parse(document, tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)
    assert "; hint: " in str(caught.value)


def test_a_misspelt_key_is_named_before_the_one_it_leaves_missing(
    document: Document, tmp_path: Path
) -> None:
    document["federation"]["roundz"] = document["federation"].pop("rounds")
    with pytest.raises(
        ConfigError, match=r"federation\.roundz: unknown key; got \d+; hint: .*rounds"
    ):
        parse(document, tmp_path / "params.yaml")


@pytest.mark.parametrize("section", ["run", "federation", "methods"])
def test_missing_sections_are_named(document: Document, tmp_path: Path, section: str) -> None:
    del document[section]
    with pytest.raises(ConfigError, match=f"{section}: key is missing"):
        parse(document, tmp_path / "params.yaml")


def test_a_listed_method_needs_its_section(document: Document, tmp_path: Path) -> None:
    name = document["run"]["trained"][0]
    del document["methods"][name]
    with pytest.raises(ConfigError, match=f"{name!r} but methods has no section"):
        parse(document, tmp_path / "params.yaml")


def test_no_method_at_all(document: Document, tmp_path: Path) -> None:
    document["run"] |= {"zero_shot": [], "trained": []}
    with pytest.raises(ConfigError, match="no method is listed"):
        parse(document, tmp_path / "params.yaml")


def test_yaml_numbers_without_a_point_are_numbers(document: Document, tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as a string."""
    document["federation"]["learning_rate"] = "1e-3"
    assert parse(document, tmp_path / "params.yaml").federation.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "'a' is given twice"),
        ("x: {k: 1, k: 2}", "'k' is given twice"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("\x00", "not valid YAML"),
    ],
)
def test_yaml_that_is_not_plain_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_yaml(path)


@pytest.mark.parametrize("content", ["", "[1, 2]", "text"])
def test_a_file_without_sections_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match="not a mapping"):
        load_params(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file is missing"):
        load_params(tmp_path / "params.yaml")


def test_privacy_needs_uniform_weights(document: Document) -> None:
    """Sample weights break the sensitivity bound (docs/method.md#differential-privacy)."""
    privacy = {"clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    for change in ({"weighting": "samples"}, {"aggregation": "krum"}):
        section = {**document["federation"], "privacy": privacy, **change}
        with pytest.raises(ConfigError, match="privacy needs"):
            parse_section(FederationParams, section, "params.yaml: federation")


def test_params_cannot_be_changed() -> None:
    params = load_params(ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.profile = "other"
