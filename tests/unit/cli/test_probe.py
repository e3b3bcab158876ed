"""``fedmvp probe`` on a tiny backbone, and once on PictoCLIP."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fedmvp.clip import packaged
from fedmvp.clip.backbone import Backbone
from fedmvp.clip.conversion import import_backbone
from fedmvp.evaluation.shift import image_statistics
from fedmvp.evaluation.shift_reference import REFERENCE_FILE, recorded
from tests.toys import toy_images
from tests.unit.cli.conftest import ROOT, Run
from tests.unit.prediction.places import CLASSES, DATASET

CATALOG = Path(f"catalog/{DATASET}.yaml")
OLD_KEYS = ("dataset", "classes", "test_images", "chance", "zero_shot", "linear_probe")


def edit(**entries: object) -> None:
    document = yaml.safe_load(CATALOG.read_text(encoding="utf-8"))
    CATALOG.write_text(yaml.safe_dump({**document, **entries}), encoding="utf-8")


def write_images(tower: Backbone, folders: Iterable[str], per_class: int = 4) -> None:
    labels = [label for label in range(len(CLASSES)) for _ in range(per_class)]
    for seed, folder in enumerate(folders):
        for number, pixels in enumerate(toy_images(tower, labels, seed)):
            name = CLASSES[labels[number]]
            file = Path(f".fedmvp/data/{DATASET}/{folder}/{name}/{number}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)


def download() -> None:
    from pipeline.download import main

    main([DATASET])


@pytest.fixture
def place(tower: Backbone) -> Backbone:
    """Two domains with images; both stages have run."""
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    write_images(tower, ("sketch", "photo"))
    download()
    return tower


@pytest.fixture
def reference(place: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny backbone has statistics of the toys, recorded."""
    labels = [label for label in range(len(CLASSES)) for _ in range(4)]
    images = np.concatenate([toy_images(place, labels, seed) for seed in (0, 1)])
    record = recorded(place.spec, image_statistics(place, images), "the toys")
    file = tmp_path / "package/weights/tiny" / REFERENCE_FILE
    file.parent.mkdir(parents=True)
    file.write_text(record.model_dump_json(), encoding="utf-8")
    monkeypatch.setattr(packaged.resources, "files", lambda _: tmp_path / "package")


def answer(run: Run, *words: str) -> Any:
    return json.loads(run("probe", DATASET, *words, "--json").stdout)


@pytest.mark.slow  # imports scikit-learn
def test_a_backbone_without_a_reference(run: Run, place: Backbone) -> None:
    found = answer(run)
    assert [key for key in found if key in OLD_KEYS] == list(OLD_KEYS)
    assert (found["dataset"], found["classes"], found["test_images"]) == (DATASET, 4, 16)
    assert (found["train_images"], found["chance"], found["severity"]) == (16, 0.25, None)
    assert found["shift"] is None and found["pixel_shift"] > 0
    assert not found["reference"]["patches"]
    assert found["gap_points"] == pytest.approx(100 * (found["linear_probe"] - found["zero_shot"]))
    assert found["verdict"] in ("not_measured", "other_backbone")
    # Domains are the dataset's, in its order, and add up to it.
    domains = found["domains"]
    assert [row["domain"] for row in domains] == ["sketch", "photo"]
    for key in ("zero_shot", "zero_shot_combined"):
        assert found[key] == pytest.approx(np.mean([row[key] for row in domains]))
    means = [row["pixels"]["mean"] for row in domains]
    assert found["pixels"]["mean"] == pytest.approx(np.mean(means, axis=0))
    text = run("probe", DATASET).stdout
    assert text.startswith("toys: 4 classes, 16 training and 16 test images, as they are\n")
    assert "no patch statistics for this backbone" in text
    assert "Reference: the constants this backbone normalises pixels with" in text
    assert text.endswith(f"\n{found['recommendation']}\n")
    assert run("probe", DATASET).stdout == text


@pytest.mark.slow  # imports scikit-learn
def test_zero_shot_with_both_texts_is_the_methods_own(run: Run, place: Backbone) -> None:
    from fedmvp.data.image_source import ImageSource
    from fedmvp.data.manifest_files import load_manifest
    from fedmvp.methods.banks import TextBanks
    from fedmvp.methods.zero_shot import ZeroShotCombined, ZeroShotCombinedParams
    from fedmvp.paths import manifest_path

    manifest = load_manifest(manifest_path(DATASET))
    banks = TextBanks(place, Path("data/attributes"), {DATASET: manifest})
    method = ZeroShotCombined(place, ZeroShotCombinedParams(attributes_weight=0.5), 1)
    for row in answer(run)["domains"]:
        ids = [i.id for i in manifest.images if (i.split, i.domain) == ("test", row["domain"])]
        pixels, labels = ImageSource({DATASET: manifest}, 32, "test")(DATASET, ids, CLASSES)
        classes = banks.select(DATASET, row["domain"], CLASSES)
        guesses = method.logits(place.normalise(pixels), classes).argmax(dim=1).numpy()
        assert row["zero_shot_combined"] == pytest.approx(np.mean(guesses == labels))
    Path(f"data/attributes/{DATASET}.json").unlink()
    found = answer(run)
    assert found["zero_shot_combined"] is None
    assert [row["zero_shot_combined"] for row in found["domains"]] == [None, None]
    assert "run `dvc repro attributes`" in run("probe", DATASET).stdout


@pytest.mark.slow  # imports scikit-learn
@pytest.mark.usefixtures("reference")
def test_cameras_and_their_severity(run: Run) -> None:
    manifest = Path(f"data/manifests/{DATASET}.json").read_bytes()
    clean = answer(run)
    assert clean["reference"] == {**clean["reference"], "source": "the toys", "patches": True}
    assert 0 < clean["shift"] < 0.1  # half of the images, against all of them
    edit(capture={"photo": {"exposure": 0.3, "noise": 0.1}})
    assert answer(run) == clean  # the manifest is as the stage wrote it
    assert answer(run, "--severity", "0") == {**clean, "severity": 0}
    half, full = (answer(run, "--severity", severity) for severity in ("0.5", "1"))
    sketch, photo = zip(
        *([row["shift"] for row in r["domains"]] for r in (clean, half, full)), strict=True
    )
    assert sketch[0] == sketch[1] == sketch[2]
    assert photo[0] < photo[1] < photo[2]
    assert clean["shift"] < half["shift"] < full["shift"]
    text = run("probe", DATASET, "--severity", "1").stdout
    assert text.splitlines()[0].endswith("through the sites' cameras at severity 1")
    assert "Pixels: darker (" in text
    assert Path(f"data/manifests/{DATASET}.json").read_bytes() == manifest


@pytest.mark.slow  # imports scikit-learn
@pytest.mark.usefixtures("reference")
def test_a_dataset_of_one_domain(run: Run, place: Backbone) -> None:
    edit(domains=[], sentence={"prefix": "a sketch of a"}, layout={"reader": "class_folders"})
    write_images(place, ("",))
    for domain in ("sketch", "photo"):
        for file in Path(f".fedmvp/data/{DATASET}/{domain}").rglob("*.png"):
            file.unlink()
        for folder in sorted(Path(f".fedmvp/data/{DATASET}/{domain}").rglob("*"), reverse=True):
            folder.rmdir()
        Path(f".fedmvp/data/{DATASET}/{domain}").rmdir()
    download()
    found = answer(run)
    (only,) = found["domains"]
    assert only["domain"] == "default"
    for key in ("train_images", "test_images", "zero_shot", "zero_shot_combined"):
        assert only[key] == found[key]
    assert only["shift"] == pytest.approx(found["shift"], rel=1e-9)


def test_what_is_missing_is_one_line(run: Run, place: Backbone) -> None:
    def error(*words: str) -> str:
        text = run("probe", *words, code=2).stderr
        assert text.startswith("error: ") and text.count("\n") == 1
        return text

    assert "did you mean 'toys'" in error("toy")
    assert "declares no cameras; got 1.0" in error(DATASET, "--severity", "1")
    assert "--severity: not a severity; got -1.0" in error(DATASET, "--severity", "-1")
    edit(capture={"photo": {"exposure": 0.3}})
    assert "--severity: too severe" in error(DATASET, "--severity", "2")
    spec = Path("data/backbone/spec.json")
    spec.rename("spec.json")
    assert "data/backbone/spec.json: file is missing" in error(DATASET)
    assert "run `dvc repro backbone`" in error(DATASET)
    Path("spec.json").rename(spec)
    manifest = Path(f"data/manifests/{DATASET}.json")
    content = manifest.read_text(encoding="utf-8")
    manifest.write_text(content.replace('"test"]', '"val"]'), encoding="utf-8")
    assert "toys: no test images" in error(DATASET)
    manifest.write_text(content.replace('"train"]', '"val"]'), encoding="utf-8")
    assert "training images of fewer than two classes; got 0" in error(DATASET)
    manifest.unlink()
    assert f"run `dvc repro download@{DATASET}`" in error(DATASET)


@pytest.mark.slow  # imports open_clip and scikit-learn
def test_pictoclip_knows_drawings_and_not_what_cameras_make_of_them(
    run: Run, repository: Path
) -> None:
    """The packaged reference belongs to the packaged weights."""
    import_backbone(Path("data/backbone"), "pictoclip")
    clean, seen = (
        json.loads(run("probe", "activities", "--severity", severity, "--json").stdout)
        for severity in ("0", "0.7")
    )
    assert clean["reference"]["patches"]
    assert clean["shift"] < 0.02 and clean["verdict"] == "little"
    assert 0.3 < seen["shift"] < 0.4 and seen["verdict"] == "prompts"
    assert seen["zero_shot"] < clean["zero_shot"]
