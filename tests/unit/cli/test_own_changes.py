"""Adding, replacing and removing a user's own dataset: all or nothing, and nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.partition.build import build_partition
from fedmvp.partition.setting_spec import load_setting, setting_names
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_own_data import CLASSES, fill, places

__all__ = ["places"]  # a fixture


def everything(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"wren": ["thin beak"]}', "3 of 4 classes fail: class is not in the file: 'Blue Tit'"),
        ('{"wren": "thin beak"}', "not a list of texts"),
        ('{"wren": [}', "not valid JSON"),
    ],
)
def test_bad_attributes_leave_nothing_behind(
    run: Run, places: Path, content: str, message: str
) -> None:
    folder = fill(places / "birds")
    Path("birds.json").write_text(content, encoding="utf-8")
    before = everything(places)
    words = ("datasets", "add", "birds", "--images", str(folder), "--attributes", "birds.json")
    error = run(*words, code=2).stderr
    assert message in error and "birds.json" in error
    assert "delete" not in error and "run the stage" not in error
    assert everything(places) == before
    lists = {name: ["thin beak"] for name in CLASSES}
    Path("birds.json").write_text(json.dumps(lists), encoding="utf-8")
    run(*words)


def test_a_full_disk_leaves_nothing_behind(
    run: Run, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedmvp.cli import own_files

    folder = fill(places / "birds")
    before = everything(places)
    write = own_files.write_output

    def full(path: Path, content: bytes) -> None:
        if path.name == "birds.yaml":
            raise OSError(28, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(own_files, "write_output", full)
    error = run("datasets", "add", "birds", "--images", str(folder), code=2).stderr
    assert "No space left" in error
    assert everything(places) == before


def test_a_dry_run_writes_nothing_and_names_what_it_would(run: Run, places: Path) -> None:
    folder = fill(places / "birds")
    before = everything(places)
    words = ("datasets", "add", "birds", "--images", str(folder), "--json")
    planned = json.loads(run(*words, "--dry-run").stdout)
    assert everything(places) == before and not planned["written"]
    done = json.loads(run(*words).stdout)
    assert done["written"]
    new = everything(places).keys() - before.keys()
    assert new == {str(places / path) for path in done["files"]}
    assert done["files"] == planned["files"]


def test_nothing_goes_into_the_package(run: Run, places: Path) -> None:
    folder = fill(places / "birds")
    lists = {name: ["thin beak"] for name in CLASSES}
    Path("birds.json").write_text(json.dumps(lists), encoding="utf-8")
    done = run(
        "datasets", "add", "birds", "--images", str(folder), "--attributes", "birds.json", "--json"
    ).stdout
    assert all(
        path.split("/")[0] in {"catalog", "settings", ".fedmvp"}
        for path in json.loads(done)["files"]
    )
    assert not (places / "recorded").exists()
    assert "thin beak" in run("attributes", "show", "birds", "wren", "--model", "own").stdout


def test_force_replaces_and_keeps_what_was_there(run: Run, places: Path) -> None:
    folder = fill(places / "birds", "ink", "oil", "pen")
    lists = {name: ["thin beak"] for name in CLASSES}
    Path("birds.json").write_text(json.dumps(lists), encoding="utf-8")
    words = ("datasets", "add", "birds", "--attributes", "birds.json", "--images")
    run(*words, str(folder))
    answers = Path("catalog/recorded/birds.jsonl").read_bytes()
    assert "--force" in run(*words, str(folder), code=2).stderr
    plain = fill(places / "plain")
    Path("birds.json").write_text(json.dumps(lists | {"wren": ["tail up"]}), encoding="utf-8")
    done = json.loads(run(*words, str(plain), "--force", "--json").stdout)
    assert (
        set(setting_names("birds"))
        == set(done["settings"])
        == {"all_classes", "base_to_new", "cross_dataset"}
    )
    assert "tail up" in run("attributes", "show", "birds", "wren", "--model", "own").stdout
    kept = {path.name: path.read_bytes() for path in Path(done["put_aside"]).iterdir()}
    assert kept["recorded-birds.jsonl"] == answers
    assert "birds-msst.yaml" in kept and "catalog-birds.yaml" in kept
    # Without new attributes, those that may have been paid for stay.
    run("datasets", "add", "birds", "--images", str(plain), "--force")
    assert "tail up" in run("attributes", "show", "birds", "wren", "--model", "own").stdout


def test_remove_undoes_add_and_touches_no_image(run: Run, places: Path) -> None:
    folder = fill(places / "birds")
    before = everything(folder)
    run("datasets", "add", "birds", "--images", str(folder))
    entry = Path("catalog/birds.yaml").read_bytes()
    output = run("datasets", "remove", "birds").stdout
    assert "the images are untouched" in output
    assert everything(folder) == before
    assert not Path("catalog/birds.yaml").exists() and not Path("settings/birds").exists()
    assert yaml.safe_load(Path(".fedmvp/paths.yaml").read_bytes())["datasets"] == {}
    assert Path(".fedmvp/removed/birds-1/catalog-birds.yaml").read_bytes() == entry
    assert "unknown dataset" in run("datasets", "remove", "birds", code=2).stderr
    run("datasets", "add", "birds", "--images", str(folder))


def test_shipped_datasets_and_suites_are_left_alone(run: Run, places: Path) -> None:
    folder = fill(places / "birds")
    assert "shipped" in run("datasets", "remove", "food", code=2).stderr
    words = ("datasets", "add", "food", "--images", str(folder), "--force")
    assert "shipped" in run(*words, code=2).stderr
    error = run("datasets", "add", "paper", "--images", str(folder), code=2).stderr
    assert "suite of this name belongs to other datasets" in error


@pytest.mark.parametrize(
    ("classes", "settings", "clients"),
    [
        (12, {"base_to_new": 2, "all_classes": 3}, {"base_to_new": 3, "all_classes": 4}),
        (5, {"base_to_new": 3, "all_classes": 2}, {"base_to_new": 1, "all_classes": 2}),
        (160, {"base_to_new": None, "all_classes": None}, {"base_to_new": 4, "all_classes": 8}),
    ],
)
def test_few_classes_make_several_clients(
    run: Run, places: Path, classes: int, settings: dict[str, int | None], clients: dict[str, int]
) -> None:
    names = tuple(f"kind {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(classes))
    folder = fill(places / "kinds", classes=names, images=2)
    done = json.loads(run("datasets", "add", "kinds", "--images", str(folder), "--json").stdout)
    manifest = build_manifest(load_spec("kinds"), 1)
    for name, per_client in settings.items():
        setting = load_setting("kinds", name)
        assert setting.classes_per_client == per_client
        partition = build_partition(
            name, setting, {"kinds": manifest}, classes_per_client=20, shots=8, seed=1
        )
        assert len(partition.clients) == clients[name]
        assert all(len(client.classes) > 1 for client in partition.clients)
    lone = any("base_to_new: one client" in note for note in done["notes"])
    assert lone == (1 in clients.values())
