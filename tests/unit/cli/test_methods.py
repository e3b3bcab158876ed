"""Parameter counts (docs/method.md#sizes)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedmvp.cli.methods import method_row
from fedmvp.clip.backbone import Backbone
from fedmvp.clip.spec import BackboneSpec, TextSpec, VisionSpec
from fedmvp.files import write_json
from fedmvp.methods import METHODS
from tests.unit.cli.conftest import ROOT, Run

SPEC = BackboneSpec(
    name="ViT-B-16-quickgelu",
    pretrained=None,
    embed_dim=512,
    quick_gelu=True,
    vision=VisionSpec(
        image_size=224, patch_size=16, width=768, layers=12, heads=12, mlp_width=3072, pre_norm=True
    ),
    text=TextSpec(
        context_length=77, vocabulary=49408, width=512, layers=12, heads=8, mlp_width=2048
    ),
    mean=(0.48, 0.46, 0.41),
    std=(0.27, 0.26, 0.28),
    tower_sha256="0" * 64,
)


def test_fedmvp_has_the_papers_counts() -> None:
    row = method_row("fedmvp", {}, Backbone(SPEC))
    assert (row["method"], row["trainable"], row["communicated"]) == (
        "fedmvp",
        9_845_760,
        9_845_760,
    )
    assert row["phases"]["lora"] == {"trainable": 36_864, "communicated": 36_864}
    assert round(9_845_760 / row["phases"]["lora"]["communicated"], 2) == 267.08
    assert row["variants"]["official-code"]["phases"] == {
        "promptformer": {"trainable": 9_845_760, "communicated": 9_882_624},
        "lora": {"trainable": 430_848, "communicated": 9_882_624},
    }


def test_sections_count() -> None:
    backbone = Backbone(SPEC)
    assert "phases" not in method_row("fedmvp", {"switch_loss": None}, backbone)
    assert method_row("fedmvp", {"conditioning": "image"}, backbone)["trainable"] == 9_451_776
    assert method_row("fedmvp", {"conditioning": "text"}, backbone)["trainable"] == 9_848_832
    row = method_row("fedmvp", {"variant": "official-code"}, backbone)
    assert (row["communicated"], list(row["variants"])) == (9_882_624, ["paper"])


def test_methods_without_training_send_nothing() -> None:
    row = method_row("zero_shot", {}, Backbone(SPEC))
    assert row == {"method": "zero_shot", "trainable": 0, "communicated": 0}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: None) -> Path:
    """Params and the pipeline's backbone spec, so that no library is asked for sizes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    write_json(Path("data/backbone/spec.json"), SPEC.model_dump(mode="json"))
    return tmp_path


def test_the_command_lists_every_method(run: Run, place: Path) -> None:
    rows = json.loads(run("methods", "--backbone", "ViT-B-16-quickgelu", "--json").stdout)
    assert [row["method"] for row in rows] == list(METHODS)
    assert all({"trainable", "communicated"} <= row.keys() for row in rows)
    sizes = {row["method"]: (row["trainable"], row["communicated"]) for row in rows}
    assert sizes["fed_dualcoop"] == (16_384, 16_384)
    assert sizes["fedpgp"] == (12_416, 8_192)
    assert sizes["promptfolio"] == sizes["fedpha"] == sizes["fedotp"] == (16_384, 8_192)
    assert sizes["pfedmoap"] == (74_240, 8_192)
    assert sizes["fedmgp"] == (12_800, 5_120)
    assert sizes["fedpromptsrc"] == (46_080, 46_080)
    assert sizes["fedprograd"] == (2_048, 2_048)
    assert sizes["fedplot"] == (32_768, 32_768)
    table = run("methods", "--backbone", "ViT-B-16-quickgelu").stdout
    assert "fedmvp                               9,879,552     9,879,552" in table
    assert "  official-code, phase lora            430,848     9,882,624" in table


@pytest.mark.slow
def test_sizes_of_a_model_without_its_weights(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = json.loads(run("methods", "--backbone", "ViT-B-16-quickgelu", "--json").stdout)
    assert {row["method"]: row["trainable"] for row in rows}["fedmvp"] == 9_845_760
    assert "unknown backbone" in run("methods", "--backbone", "ViT-B-16-quick", code=2).stderr
    assert "not supported" in run("methods", "--backbone", "RN50", code=2).stderr
