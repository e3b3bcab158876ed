"""CLIPModel's weights, as Hugging Face names them, compute the same here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

from fedmvp.clip.backbone import load_backbone
from fedmvp.clip.conversion import import_backbone
from fedmvp.clip.open_clip_models import open_clip_model
from fedmvp.clip.tokens import tokenize
from fedmvp.errors import BackboneError

pytestmark = pytest.mark.slow  # importing open_clip takes seconds

WIDTHS = {"vision": 64, "text": 48}


@pytest.fixture(scope="module", autouse=True)
def _same_sizes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("configs")
    config = {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": 48,
            "patch_size": 16,
            "width": WIDTHS["vision"],
            "layers": 2,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": WIDTHS["text"],
            "heads": 2,
            "layers": 2,
        },
    }
    (folder / "tiny.json").write_text(json.dumps(config))
    (folder / "tiny-quickgelu.json").write_text(json.dumps({**config, "quick_gelu": True}))
    open_clip.add_model_config(folder)


def saved(folder: Path, activation: str) -> CLIPModel:
    """Write model.safetensors and config.json as Hugging Face does."""
    tower: dict[str, Any] = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": activation,
        "projection_dim": 32,
    }
    torch.manual_seed(3)
    config = CLIPConfig(
        text_config={
            **tower,
            "hidden_size": 48,
            "intermediate_size": 192,
            "vocab_size": 49408,
            "eos_token_id": 49407,
            "bos_token_id": 49406,
        },
        vision_config={
            **tower,
            "hidden_size": 64,
            "intermediate_size": 256,
            "image_size": 48,
            "patch_size": 16,
        },
        projection_dim=32,
    )
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("activation", "name", "other"),
    [("gelu", "tiny", "tiny-quickgelu"), ("quick_gelu", "tiny-quickgelu", "tiny")],
)
def test_features_are_hugging_faces(activation: str, name: str, other: str, tmp_path: Path) -> None:
    model = saved(tmp_path, activation)
    import_backbone(tmp_path / "out", name, weights=tmp_path / "model.safetensors")
    ours = load_backbone(tmp_path / "out")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    images, ids = ours.normalise(pixels), tokenize(["a photo of a teapot.", "owl"], 77)
    with torch.no_grad():
        theirs = model(input_ids=ids, pixel_values=images)
        assert (ours.vision.features(images) - theirs.image_embeds).abs().max() < 1e-5
        assert (ours.text.features(ids) - theirs.text_embeds).abs().max() < 1e-5
    assert float(ours.scale) == float(model.logit_scale.detach().exp())
    with pytest.raises(BackboneError, match=f"config.json beside it says so.*use {name}"):
        open_clip_model(other, weights=tmp_path / "model.safetensors")


def test_what_older_versions_saved_with_them_is_left_out(tmp_path: Path) -> None:
    saved(tmp_path, "gelu")
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    for tower in ("text", "vision"):
        state[f"{tower}_model.embeddings.position_ids"] = torch.arange(10)[None]
    save_file(state, path)
    open_clip_model("tiny", weights=path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    open_clip_model("tiny", weights=tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (
            "vision_model.encoder.layers.1.self_attn.k_proj.weight",
            "visual.transformer.resblocks.1.attn.in_proj_weight",
        ),
        ("text_projection.weight", "text_projection"),
    ],
)
def test_a_tensor_that_is_missing_is_named(gone: str, told: str, tmp_path: Path) -> None:
    saved(tmp_path, "gelu")
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    del state[gone]
    save_file(state, path)
    with pytest.raises(BackboneError, match=f"do not belong to this model; got '{told}'"):
        open_clip_model("tiny", weights=path)
