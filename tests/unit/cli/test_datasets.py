"""The catalog on the command line: list and verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.manifest_files import save_manifest
from fedmvp.paths import manifest_path
from tests.unit.cli.conftest import Run

CLASSES, DOMAINS = ("ant", "bee", "cat"), ("ink", "oil")


@pytest.fixture
def own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of one's own: 3 classes, 2 domains, 4 images each; returns its folder."""
    entry = {
        "name": "own",
        "title": "Own",
        "licence": "none",
        "layout": {"reader": "domain_class_folders"},
        "template": "a {}.",
        "sentence": {"prefix": "a"},
        "split": {"rule": "fractions", "train": 0.5},
        "counts": {"images": 24},
        "domains": list(DOMAINS),
        "classes": list(CLASSES),
    }
    Path("catalog").mkdir()
    Path("catalog/own.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    monkeypatch.setenv("FEDMVP_CATALOG", "catalog")
    folder = Path(".fedmvp/data/own")
    for number, (domain, name) in enumerate((d, c) for d in DOMAINS for c in CLASSES):
        (folder / domain / name).mkdir(parents=True)
        for shade in range(4):
            colour = (10 * number, 60 * shade, 7)
            Image.new("RGB", (8, 8), colour).save(folder / domain / name / f"{shade}.png")
    return folder


def test_list(run: Run, own: Path) -> None:
    rows = {row["dataset"]: row for row in json.loads(run("datasets", "list", "--json").stdout)}
    assert rows["own"] == {
        "dataset": "own",
        "title": "Own",
        "classes": 3,
        "domains": 2,
        "images": 24,
        "state": "your own",
        "licence": "none",
    }
    assert rows["food"]["state"] == "to fetch"
    assert "to fetch" in run("datasets", "list").stdout


def test_a_sound_dataset(run: Run, own: Path) -> None:
    save_manifest(build_manifest(load_spec("own"), 1), manifest_path("own"))
    report = json.loads(run("datasets", "verify", "own", "--json").stdout)
    assert report["ok"]
    assert report["problems"] == report["notes"] == []
    assert (report["images"], report["splits"]) == (24, {"test": 12, "train": 12})
    assert json.loads(Path(".fedmvp/reports/own.json").read_text(encoding="utf-8")) == report
    assert "ok; report: .fedmvp/reports/own.json" in run("datasets", "verify", "own").stdout


def test_every_broken_image_is_told(run: Run, own: Path) -> None:
    whole = (own / "ink/ant/0.png").read_bytes()
    (own / "ink/ant/0.png").write_bytes(whole[:40])
    (own / "oil/cat/3.png").write_text("no image", encoding="utf-8")
    report = json.loads(run("datasets", "verify", "own", "--json", code=2).stdout)
    assert [
        any(name in text for text in report["problems"])
        for name in ("ink/ant/0.png", "oil/cat/3.png")
    ] == [True, True]
    assert len(report["problems"]) == 2
    assert "problem  " in run("datasets", "verify", "own", code=2).stdout


def test_wrong_counts_and_folders(run: Run, own: Path) -> None:
    (own / "ink/ant/0.png").unlink()
    report = json.loads(run("datasets", "verify", "own", "--json", code=2).stdout)
    assert "not the declared 24" in report["problems"][0]
    (own / "ink/dog").mkdir()
    (own / "ink/dog/0.png").touch()
    report = json.loads(run("datasets", "verify", "own", "--json", code=2).stdout)
    assert "folder is not a class" in report["problems"][0]


def test_the_same_file_in_train_and_test_is_noted(run: Run, own: Path) -> None:
    for path in own.rglob("*.png"):
        Image.new("RGB", (8, 8), "red").save(path)
    report = json.loads(run("datasets", "verify", "own", "--json").stdout)
    assert "are the same in train and test" in " ".join(report["notes"])


def test_a_manifest_older_than_the_images(run: Run, own: Path) -> None:
    save_manifest(build_manifest(load_spec("own"), 2), manifest_path("own"))
    report = json.loads(run("datasets", "verify", "own", "--json", code=2).stdout)
    assert "differs from the images" in report["problems"][0]


def test_a_corrupt_archive(run: Run, repository: Path) -> None:
    archives = Path("data/emoji")
    whole = (archives / "food.zip").read_bytes()
    archives.unlink()  # the link to the repository's own
    archives.mkdir()
    (archives / "food.zip").write_bytes(whole[:-1] + b"x")
    report = json.loads(run("datasets", "verify", "food", "--json", code=2).stdout)
    assert "sha256 is not the declared" in report["problems"][0]
    assert "git checkout" in report["problems"][0]


def test_a_shipped_dataset_is_fetched_and_sound(run: Run, repository: Path) -> None:
    report = json.loads(run("datasets", "verify", "activities", "--json").stdout)
    assert report["ok"]
    assert report["images"] == load_spec("activities").counts.images


def test_unknown_datasets_are_named(run: Run, repository: Path) -> None:
    assert "did you mean 'food'" in run("datasets", "verify", "fod", code=2).stderr


def test_unverified_facts_and_parts_on_purpose_are_reported(run: Run, own: Path) -> None:
    entry = yaml.safe_load(Path("catalog/own.yaml").read_text(encoding="utf-8"))
    entry |= {"counts": {"images": 25, "domains": {"oil": 12}}, "notes": ["ants are small"]}
    entry |= {"unverified": ["licence", "counts"]}
    Path("catalog/own.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    report = json.loads(run("datasets", "verify", "own", "--json").stdout)
    assert report["unverified"] == ["licence: none", "counts: differs, found images 24"]
    assert report["split"].startswith("generated: drawn")
    assert "ants are small" in report["notes"]
    (own / ".fedmvp-subset").touch()
    report = json.loads(run("datasets", "verify", "own", "--json").stdout)
    assert report["subset"] and "images 24 of 25" in " ".join(report["notes"])
