"""Weights and their activation: declared, measured, and refused under the wrong name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import save_file

from fedmvp.clip import open_clip_models
from fedmvp.clip.activation import OPENAI_SCALARS, declared_activation
from fedmvp.clip.activation_measure import measured_activation
from fedmvp.clip.backbone import load_backbone
from fedmvp.clip.conversion import import_backbone
from fedmvp.clip.open_clip_models import open_clip_model
from fedmvp.errors import BackboneError
from tests.paths import ROOT

pytestmark = pytest.mark.slow  # importing open_clip takes seconds

DRAWINGS = ROOT / "data/emoji/animals.zip"
SMALL: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 48, "patch_size": 16, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 2, "layers": 2},
}
HUGGING_FACE = {"model_type": "clip", "text_config": {}, "vision_config": {}}


def mismatched() -> list[tuple[str, str]]:
    """Return the pairs in open_clip's table whose name means another activation than the tag."""
    pairs = []
    for name, tag in open_clip.list_pretrained():
        quick = bool(get_pretrained_cfg(name, tag).get("quick_gelu", False))
        if quick != bool(open_clip.get_model_config(name).get("quick_gelu", False)):
            pairs.append((name, tag))
    return pairs


@pytest.fixture(scope="module", autouse=True)
def _two_names(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("configs")
    (folder / "small.json").write_text(json.dumps(SMALL))
    (folder / "small-quickgelu.json").write_text(json.dumps({**SMALL, "quick_gelu": True}))
    open_clip.add_model_config(folder)


def saved(path: Path, name: str = "small", **more: torch.Tensor) -> Path:
    state = open_clip.create_model(name, pretrained=None).state_dict()
    torch.save({**state, **more}, path)
    return path


def test_every_pair_that_does_not_match_is_refused() -> None:
    pairs = mismatched()
    assert len(pairs) == 28
    for name, tag in pairs:
        with pytest.raises(BackboneError, match=r"was trained with (QuickGELU|plain GELU)") as told:
            open_clip_model(name, tag)
        if name != "roberta-ViT-B-32":  # has no sibling, and is no plain CLIP either
            assert told.value.hint == f"use {name}-quickgelu"
            assert f"{name}-quickgelu" in open_clip.list_models()


@pytest.mark.parametrize("tag", ["OpenAI", "laion400m-e32"])
def test_tags_are_read_as_open_clip_reads_them(tag: str) -> None:
    with pytest.raises(BackboneError, match="use ViT-B-32-quickgelu"):
        open_clip_model("ViT-B-32", tag)


@pytest.mark.parametrize("tag", ["laion2b", "weights.pt"])
def test_a_tag_that_is_none_is_told_before_anything_is_fetched(tag: str, tmp_path: Path) -> None:
    """A path would be loaded by open_clip, past every check."""
    value = str(saved(tmp_path / tag)) if tag.endswith(".pt") else tag
    with pytest.raises(BackboneError, match="lists no such weights") as told:
        open_clip_model("ViT-B-32", value)
    assert "laion" in told.value.hint
    assert "backbone.weights" in told.value.hint


def test_openais_own_files_are_known_by_their_scalars(tmp_path: Path) -> None:
    path = saved(tmp_path / "ViT-B-32.pt", **{key: torch.tensor(7) for key in OPENAI_SCALARS})
    with pytest.raises(BackboneError, match="need QuickGELU: its scalars") as told:
        open_clip_model("small", weights=path)
    assert told.value.hint == "use small-quickgelu"
    assert import_backbone(tmp_path / "out", "small-quickgelu", weights=path).quick_gelu


@pytest.mark.parametrize(
    ("file", "config", "quick"),
    [
        ("open_clip_config.json", {"model_cfg": {"quick_gelu": True}}, True),
        ("open_clip_config.json", {"model_cfg": {}}, False),
        ("config.json", HUGGING_FACE, True),
        (
            "config.json",
            {
                **HUGGING_FACE,
                "text_config": {"hidden_act": "gelu"},
                "vision_config": {"hidden_act": "gelu"},
            },
            False,
        ),
        ("config.json", {"architecture": "vit_base_patch32_clip_224"}, None),
    ],
)
def test_a_configuration_beside_the_weights_is_believed(
    file: str, config: Any, quick: bool | None, tmp_path: Path
) -> None:
    path = saved(tmp_path / "w.pt")
    (tmp_path / file).write_text(json.dumps(config))
    found = declared_activation(path, {})
    assert (found and found.quick_gelu) == quick
    if quick is None:
        return
    right, wrong = ("small-quickgelu", "small") if quick else ("small", "small-quickgelu")
    assert import_backbone(tmp_path / "out", right, weights=path).quick_gelu == quick
    with pytest.raises(BackboneError, match=f"{file} beside it says so.*use {right}"):
        open_clip_model(wrong, weights=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        (json.dumps({**HUGGING_FACE, "vision_config": {"hidden_act": "gelu"}}), "both towers"),
        (
            json.dumps(
                {
                    **HUGGING_FACE,
                    "text_config": {"hidden_act": "relu"},
                    "vision_config": {"hidden_act": "relu"},
                }
            ),
            "neither gelu nor quick_gelu",
        ),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "w.pt")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BackboneError, match=rf"config.json: .*{message}"):
        open_clip_model("small", weights=path)


def test_where_nothing_is_declared_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PictoCLIP was trained with the exact GELU; four blocks are enough to tell."""
    import_backbone(tmp_path, "pictoclip")
    backbone = load_backbone(tmp_path)
    state = backbone.state_dict()
    for quick in (False, True):
        spec = backbone.spec.model_copy(update={"quick_gelu": quick})
        assert measured_activation(spec, state, DRAWINGS) is False
    assert measured_activation(backbone.spec, state, tmp_path / "absent.zip") is None
    unknowing = {key: torch.randn_like(value) * 0.02 for key, value in state.items()}
    assert measured_activation(backbone.spec, unknowing, DRAWINGS) is None


def test_what_was_measured_is_told_and_can_be_overruled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip_models, "measured_activation", lambda spec, state: True)
    state = open_clip.create_model("small", pretrained=None).state_dict()
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    with pytest.raises(BackboneError, match="read drawings clearly better with QuickGELU") as told:
        open_clip_model("small", weights=path)
    assert told.value.hint.startswith("use small-quickgelu; if the name is right")
    config = told.value.hint.partition("open_clip_config.json with ")[2]
    (tmp_path / "open_clip_config.json").write_text(config)
    assert not import_backbone(tmp_path / "out", "small", weights=path).quick_gelu
