"""A user's own images: which trees are understood, and what is written for them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fedmvp.catalog.spec import load_spec
from fedmvp.cli.image_tree import survey
from fedmvp.data.build import build_manifest
from fedmvp.errors import DataError
from fedmvp.partition.build import build_partition
from fedmvp.partition.setting_spec import load_setting, setting_names
from tests.unit.cli.conftest import Run

CLASSES = ("Blue Tit", "robin", "wren", "house_sparrow")


def fill(folder: Path, *tops: str, classes: tuple[str, ...] = CLASSES, images: int = 4) -> Path:
    """Write `images` pictures per class below each of `tops`."""
    for top in tops or (".",):
        for number, name in enumerate(classes):
            (folder / top / name).mkdir(parents=True, exist_ok=True)
            for shade in range(images):
                picture = Image.new("RGB", (8, 8), (30 * number, 50 * shade, 9))
                picture.save(folder / top / name / f"{shade}.png")
    return folder


@pytest.fixture
def places(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where entries, settings and answers go, away from the shipped ones."""
    monkeypatch.setenv("FEDMVP_CATALOG", "catalog")
    monkeypatch.setenv("FEDMVP_SETTINGS", "settings")
    monkeypatch.setattr("fedmvp.attributes.store.RECORDED", repository / "recorded")
    return repository


@pytest.mark.parametrize(
    ("tops", "images", "domains", "settings", "splits"),
    [
        ((), 16, 1, {"all_classes", "base_to_new", "cross_dataset"}, {"train": 8, "test": 8}),
        (
            ("ink", "oil"),
            32,
            2,
            {"all_classes", "base_to_new", "cross_dataset", "ssmt"},
            {"train": 16, "test": 16},
        ),
        (
            ("ink", "oil", "pen"),
            48,
            3,
            {"all_classes", "base_to_new", "cross_dataset", "msst", "ssmt"},
            {"train": 24, "test": 24},
        ),
        (
            ("train", "validation"),
            32,
            1,
            {"all_classes", "base_to_new", "cross_dataset"},
            {"train": 16, "test": 16},
        ),
    ],
)
def test_a_tree_becomes_a_dataset(
    run: Run,
    places: Path,
    tops: tuple[str, ...],
    images: int,
    domains: int,
    settings: set[str],
    splits: dict[str, int],
) -> None:
    folder = fill(places / "my images", *tops)
    before = sorted(folder.rglob("*"))
    record = json.loads(run("datasets", "add", "birds", "--images", str(folder), "--json").stdout)
    assert set(record["settings"]) == set(setting_names("birds")) == settings
    spec = load_spec("birds")
    assert spec.class_names == tuple(sorted(CLASSES))
    manifest = build_manifest(spec, 1)
    assert len(manifest.images) == images
    assert len(manifest.domains) == domains
    made = [image.split for image in manifest.images]
    assert {split: made.count(split) for split in set(made)} == splits
    for name in settings - {"cross_dataset"}:
        partition = build_partition(
            name,
            load_setting("birds", name),
            {"birds": manifest},
            classes_per_client=2,
            shots=8,
            seed=1,
        )
        assert partition.clients and partition.targets
    # Used in place: nothing was copied, moved or written there.
    assert sorted(folder.rglob("*")) == before


def test_attributes_are_imported_and_the_command_is_printed(run: Run, places: Path) -> None:
    folder = fill(places / "birds")
    lists = {name: ["thin beak", f"plumage {number}"] for number, name in enumerate(CLASSES)}
    Path("birds.json").write_text(json.dumps(lists), encoding="utf-8")
    output = run(
        "datasets",
        "add",
        "birds",
        "--images",
        str(folder),
        "--attributes",
        "birds.json",
        "--template",
        "a photo of a {}, a garden bird.",
    ).stdout
    assert (
        len((places / "catalog/recorded/birds.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    )
    (line,) = [line for line in output.splitlines() if line.startswith("run ")]
    words = shlex.split(line)
    assert words[1:4] == ["dvc", "exp", "run"]
    assert "attributes.model=own" in words
    assert "run.settings=[base_to_new,all_classes]" in words
    assert (load_spec("birds").sentence.prefix, load_spec("birds").sentence.suffix) == (
        "a photo of a",
        "a garden bird",
    )


def test_other_datasets_keep_their_places(run: Run, places: Path) -> None:
    Path(".fedmvp").mkdir()
    Path(".fedmvp/paths.yaml").write_text("data: big\ndatasets: {dtd: there}\n", encoding="utf-8")
    folder = fill(places / "birds")
    run("datasets", "add", "birds", "--images", "birds")
    paths = yaml.safe_load(Path(".fedmvp/paths.yaml").read_text(encoding="utf-8"))
    assert paths == {"data": "big", "datasets": {"dtd": "there", "birds": str(folder.resolve())}}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("food", "dataset already exists"),
        ("My Birds", "not a dataset name"),
        ("../up", "not a dataset name"),
    ],
)
def test_names_are_checked_before_anything_is_written(
    run: Run, places: Path, name: str, message: str
) -> None:
    folder = fill(places / "birds")
    assert message in run("datasets", "add", name, "--images", str(folder), code=2).stderr
    assert not Path("catalog").exists() and not Path(".fedmvp").exists()


def test_trees_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder is missing"):
        survey(tmp_path / "nowhere")
    with pytest.raises(DataError, match="fewer than two classes"):
        survey(fill(tmp_path / "one", classes=("wren",)))
    mixed = fill(tmp_path / "mixed")
    fill(mixed, "ink")
    with pytest.raises(DataError, match="holds images, but 'ink' holds folders of images"):
        survey(mixed)
    with pytest.raises(DataError, match="not one train and one test folder"):
        survey(fill(tmp_path / "train only", "train"))
    with pytest.raises(DataError, match="got 'more'"):
        survey(fill(tmp_path / "more", "train", "test", "more"))


def test_photographs_on_a_backbone_of_drawings_are_told(run: Run, places: Path) -> None:
    """Noise has no plain ground, as photographs have none."""
    draw = np.random.default_rng(0)
    for name in CLASSES:
        (places / "birds" / name).mkdir(parents=True)
        for number in range(3):
            pixels = draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(places / "birds" / name / f"{number}.png")
    lines = run("datasets", "add", "birds", "--images", "birds").stdout.splitlines()
    (warning,) = [line for line in lines if line.startswith("warning")]
    assert "12 of 12 images look like photographs" in warning
    assert "ViT-B-16-quickgelu" in warning
    (command,) = [line for line in lines if line.startswith("run ")]
    assert "fedmvp profile use paper && dvc exp run -S run.suite=birds" in command


def test_drawings_are_not(run: Run, places: Path) -> None:
    fill(places / "birds")
    record = json.loads(run("datasets", "add", "birds", "--images", "birds", "--json").stdout)
    assert record["warning"] is None
    assert record["command"].startswith("dvc exp run")
