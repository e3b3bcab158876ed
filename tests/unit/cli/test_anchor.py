"""``fedmvp datasets anchor`` on a miniature of VOC and a small backbone that bears a known name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fedmvp.catalog.spec import load_spec
from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.data.decode import decode_image
from fedmvp.errors import ConfigError
from fedmvp.evaluation import anchors
from fedmvp.files import read_json, write_json
from fedmvp.paths import BACKBONE
from tests.miniatures import build_dataset
from tests.unit.cli.conftest import Run

pytestmark = pytest.mark.slow  # imports scikit-learn


@pytest.fixture
def voc(tower: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A miniature of VOC, and a tiny backbone that says it is OpenAI's."""
    spec = read_json(BACKBONE / "spec.json")
    write_json(BACKBONE / "spec.json", spec | {"name": "ViT-B-16", "pretrained": "openai"})
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path / "raw"))
    return build_dataset("voc2007", tmp_path / "raw")


def expected(root: Path) -> float:
    """Return mAP in percent, from lists and images by scikit-learn alone."""
    backbone = load_backbone(BACKBONE)
    base = root / "VOCdevkit/VOC2007"
    names = (base / "ImageSets/Main/test.txt").read_text().split()
    side = backbone.spec.vision.image_size
    pixels = np.stack([decode_image(base / f"JPEGImages/{name}.jpg", side) for name in names])
    images = backbone.frozen_features([backbone.normalise(pixels)])
    values = []
    for entry in load_spec("voc2007").classes:
        rows = (base / f"ImageSets/Main/{entry.folder}_test.txt").read_text().splitlines()
        shown = [int(row.split()[1]) >= 0 for row in rows]  # difficult ones, too
        text = backbone.encode_texts([f"a photo of a {entry.folder}."])
        scores = (images @ text.T)[:, 0].numpy()
        values.append(average_precision_score(shown, scores))
    return float(np.mean(values))


def test_it_measures_what_was_published(
    voc: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = expected(voc)
    monkeypatch.setattr(anchors, "ANCHORS", {"voc2007": {"ViT-B-16": right + 0.0029}})
    record = json.loads(run("datasets", "anchor", "voc2007", "--json").stdout)
    assert record["found"] == pytest.approx(right, abs=1e-6)
    assert (record["images"], record["holds"]) == (20, True)
    assert "published" in run("datasets", "anchor", "voc2007").stdout


def test_a_number_that_is_missed_is_told(
    voc: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = expected(voc) - 0.0031
    monkeypatch.setattr(anchors, "ANCHORS", {"voc2007": {"ViT-B-16": wrong}})
    assert "differ by more than 0.3%" in run("datasets", "anchor", "voc2007", code=2).stdout


@pytest.mark.parametrize(
    ("dataset", "model", "pretrained", "what"),
    [
        ("coco2014", "ViT-B-16", "openai", "no published number is known; got 'coco2014'"),
        ("voc2007", "pictoclip", None, "known for this backbone; got 'pictoclip, None'"),
        ("voc2007", "ViT-B-16", "laion2b", "known for this backbone; got 'ViT-B-16, laion2b'"),
    ],
)
def test_nothing_to_compare_with(
    dataset: str, model: str, pretrained: str | None, what: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        anchors.anchor_value(dataset, model, pretrained)
    assert what in str(caught.value)
    assert anchors.anchor_value("voc2007", "ViT-B-16-quickgelu", "openai") == 0.7888
