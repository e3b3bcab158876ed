"""`fedmvp site check` and `federation status`, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fedmvp.cli import app
from tests.machines.machines import CANARIES, Machines

pytest.importorskip("nvflare")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Machines:
    return Machines(tmp_path_factory.mktemp("check"), method="fedmvp")


def command(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def check(machines: Machines, site: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    result = command("site", "check", machines.organiser.kits / site, "--offline", "--json")
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in json.loads(result.stdout):
        lines.setdefault(line["check"], []).append(line)
    return result.exit_code, lines


def change(machines: Machines, site: str, **entries: Any) -> None:
    path = machines.kit(site).site
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**value, **entries}), encoding="utf-8")


def test_a_site_that_is_ready_says_what_would_leave(machines: Machines) -> None:
    before = sorted(machines.kit("a").root.rglob("*"))
    code, lines = check(machines, "a")
    assert code == 0, lines
    assert "9 training images of 3 classes; held out: 12 known" in lines["data"][0]["detail"]
    assert "loss" in lines["training"][0]["detail"]
    leaving = " ".join(line["detail"] for line in lines["would leave"])
    assert "float32" in leaving
    assert "counts of correct" in leaving
    assert not [word for word in CANARIES if word in leaving]
    assert [p for p in sorted(machines.kit("a").root.rglob("*")) if p not in before] == []


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"backbone": "nowhere"}, "nowhere"),
        ({"attributes": "nowhere.json"}, "nowhere.json"),
        ({"minimum": {"images": 99}}, "too few images"),
        ({"client": "z"}, "not a site of this federation"),
        ({"shar": {}}, "unknown key"),
    ],
)
def test_what_is_wrong_is_told_with_a_hint(
    machines: Machines, entries: dict[str, Any], told: str
) -> None:
    path = machines.kit("b").site
    before = path.read_bytes()
    change(machines, "b", **entries)
    code, lines = check(machines, "b")
    path.write_bytes(before)
    assert code == 2
    (line,) = lines["site"]
    assert not line["ok"]
    assert told in line["detail"]
    assert line["hint"]


def test_a_connection_that_is_not_there_is_told(machines: Machines) -> None:
    result = command("site", "check", machines.organiser.kits / "c")
    assert result.exit_code == 2
    assert "cannot be reached" in result.stdout
    assert "fedmvp federation serve" in result.stdout


def test_status_of_a_federation_that_has_not_begun(machines: Machines) -> None:
    result = command("federation", "status", machines.organiser.root, "--json")
    value = json.loads(result.stdout)
    assert (result.exit_code, value["finished"], value["round"]) == (0, False, None)
    assert {site["state"] for site in value["sites"].values()} == {"waiting"}


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    for words in (
        ("federation", "serve", tmp_path),
        ("federation", "status", tmp_path),
        ("federation", "import", tmp_path),
        ("site", "check", tmp_path),
        ("site", "join", tmp_path),
    ):
        result = command(*words)
        assert result.exit_code == 2, words
        assert "hint" in result.output


def test_a_site_whose_images_show_many_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = Machines(tmp_path / "machines", many_labels=True, sites=("a",))
    code, lines = check(machines, "a")
    assert code == 0, lines
    assert "9 training images of 3 classes; held out: 12 known" in lines["data"][0]["detail"]
    assert "of1" in lines["training"][0]["detail"]
    leaving = " ".join(line["detail"] for line in lines["would leave"])
    assert "false negatives at 19 thresholds" in leaving
    assert "four sums" in leaving
    assert not [word for word in CANARIES if word in leaving]
    # The table is asked for where the plan says so, and refused where it does not.
    folder = tmp_path / "machines" / "a"
    own = ("--images", folder / "secretfolder", "--attributes", folder / "texts.json")
    result = command("site", "init", machines.organiser.kits / "a", *own)
    assert result.exit_code == 2
    assert "no table of labels was given" in result.output
    monkeypatch.chdir(tmp_path)
    site = ("--host", "localhost", "--site", "x")
    assert command("federation", "init", "single", *site).exit_code == 0
    result = command("site", "init", "single/kits/x", *own, "--labels", folder / "labels.csv")
    assert result.exit_code == 2
    assert "images of this federation show one class each" in result.output
    assert command("federation", "init", "many", *site, "--task", "multi").exit_code == 0
    result = command("site", "init", "many/kits/x", *own, "--labels", folder / "labels.csv")
    assert result.exit_code == 0, result.output
    entries = yaml.safe_load(Path("many/kits/x/site.yaml").read_text(encoding="utf-8"))
    assert entries["images"]["labels"] == str(folder / "labels.csv")
