"""Clients and targets from manifests alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from fedmvp.catalog.spec import load_spec
from fedmvp.config import load_params
from fedmvp.data.build import build_manifest
from fedmvp.data.manifest import Image, Manifest, SplitOrigin
from fedmvp.data.manifest_files import save_manifest
from fedmvp.partition.build import build_partition
from fedmvp.partition.sampling import base_count
from fedmvp.partition.setting_spec import load_setting
from fedmvp.paths import manifest_path
from tests.unit.cli.conftest import Run


@pytest.fixture
def small(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two of the datasets, to save time."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] = ["animals", "food"]
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return repository


def test_one_setting_is_the_partition_the_stage_makes(run: Run, small: Path) -> None:
    record = json.loads(run("settings", "base_to_new", "--json").stdout)
    params = load_params()
    manifests = {
        name: build_manifest(load_spec(name), params.data.split_seed)
        for name in params.data.datasets
    }
    partition = build_partition(
        "base_to_new",
        load_setting("emoji", "base_to_new"),
        manifests,
        classes_per_client=params.partition.classes_per_client,
        shots=params.partition.shots,
        seed=params.partition.seed,
    )
    assert record["setting"] == "base_to_new"
    assert [
        (c["id"], c["fold"], c["dataset"], c["domain"], c["classes"], c["images"])
        for c in record["clients"]
    ] == [
        (c.id, c.fold, c.dataset, c.domain, list(c.classes), len(c.train))
        for c in partition.clients
    ]
    assert [
        (t["group"], t["name"], t["dataset"], t["classes"], t["images"]) for t in record["targets"]
    ] == [(t.group, t.name, t.dataset, list(t.classes), len(t.images)) for t in partition.targets]
    table = run("settings", "base_to_new").stdout
    assert "animals-000" in table
    assert not manifest_path("animals").exists()


def test_a_partition_is_drawn(run: Run, small: Path) -> None:
    run("settings", "base_to_new", "--plot", "drawn.svg")
    root = ElementTree.parse("drawn.svg").getroot()  # noqa: S314  written just now
    assert root.tag.endswith("}svg") and float(root.get("height", "0")) > 100
    text = "".join(root.itertext())
    assert "animals-000" in text and "food: 3 clients, 65 classes" in text
    discs = [e for e in root.iter() if e.get("class") == "disc"]
    params = load_params()
    # A disc for each base class that has a training image: each is at one client.
    held = 0
    for name in ("animals", "food"):
        manifest = build_manifest(load_spec(name), params.data.split_seed)
        base = range(base_count(len(manifest.classes)))
        held += len({i.label for i in manifest.images if i.split == "train"} & set(base))
    assert sum(e.get("d", "").count("h0") for e in discs) == held > 100
    for words in (("base_to_new", "--plot", "drawn.png"), ("--plot", "drawn.svg")):
        line = run("settings", *words, code=2).stderr
        assert line.startswith("error: --plot: ") and "hint: " in line and line.count("\n") == 1


def test_the_stages_manifest_is_used_where_it_is(run: Run, small: Path) -> None:
    for name in ("animals", "food"):
        save_manifest(build_manifest(load_spec(name), 1), manifest_path(name))
    before = run("settings", "base_to_new", "--json").stdout
    assert run("settings", "base_to_new", "--json").stdout == before
    manifest_path("food").write_text("{", encoding="utf-8")
    assert "food.json: not valid JSON" in run("settings", "base_to_new", code=2).stderr


def test_all_settings_are_listed(run: Run, small: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] += ["objects"]  # the source of cross_dataset
    params["run"] |= {"suite": "emoji", "settings": ["base_to_new"]}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    rows = json.loads(run("settings", "--json").stdout)
    assert [row["setting"] for row in rows] == ["base_to_new", "cross_dataset", "msst", "ssmt"]
    assert [row["in_run"] for row in rows] == [True, False, False, False]
    assert all(row["clients"] > 0 and row["targets"] > 0 for row in rows)


def test_a_setting_without_its_datasets_is_listed_with_its_problem(run: Run, small: Path) -> None:
    """cross_dataset trains on objects, which `small` does not list."""
    rows = {row["setting"]: row for row in json.loads(run("settings", "--json").stdout)}
    assert rows["cross_dataset"]["clients"] is None
    assert "data.datasets" in rows["cross_dataset"]["problem"]
    assert rows["base_to_new"]["problem"] is None
    assert rows["cross_dataset"]["problem"] in run("settings").stdout


def test_the_papers_clients_come_from_manifests_alone(run: Run, repository: Path) -> None:
    """No images, no backbone: nine manifests are enough, and they take seconds."""
    profile = Path(__file__).parents[3] / "fedmvp/profiles/paper.yaml"
    Path("params.yaml").write_bytes(profile.read_bytes())
    setting = load_setting("paper", "base_to_new")
    for name in setting.folds[0].train.datasets:
        spec = load_spec(name)
        rows = [
            Image(f"{name}/{label}/{part}", f"{label}/{part}", (label,), "default", part)
            for label in range(len(spec.classes))
            for part in ("train", "test")
        ]
        manifest = Manifest(
            dataset=name,
            title=spec.title,
            template=spec.template,
            sentence=spec.sentence,
            split=SplitOrigin("generated", "by hand"),
            subset=True,
            classes=spec.class_names,
            domains=spec.domain_names,
            images=tuple(rows),
            content="0",
        )
        save_manifest(manifest, manifest_path(name))
    record = json.loads(run("settings", "base_to_new", "--json").stdout)
    clients = Counter(client["dataset"] for client in record["clients"])
    assert list(clients.values()) == [2, 3, 2, 3, 1, 3, 1, 5, 10]
    flowers = [c for c in record["clients"] if c["dataset"] == "oxford_flowers"]
    assert [len(client["classes"]) for client in flowers] == [20, 20, 11]
    assert flowers[0]["classes"][0] == "pink primrose"


def test_unknown_settings_are_named(run: Run, small: Path) -> None:
    assert "did you mean 'base_to_new'" in run("settings", "base_to_nw", code=2).stderr


def test_nothing_is_downloaded(run: Run, tower: object) -> None:
    """A dataset that is not embedded needs its manifest first."""
    root = Path(__file__).parents[3]
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] = ["toys"]
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert "dvc repro download" in run("settings", "base_to_new", code=2).stderr
