"""From two trained halves to a model that open_clip itself loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from pretrain import export as exporting
from pretrain.augment import plain_patches
from pretrain.evaluate import FOLDER_OF_WEIGHTS
from pretrain.join import join_towers
from pretrain.prompts import tokenize_prompts
from pretrain.tower import build, image_features, text_features
from pretrain.train_text import TextStudent
from tests.unit.pretrain.samples import drawings, tiny_model, tiny_recipe

pytestmark = pytest.mark.slow  # importing open_clip takes seconds

MODEL = tiny_model()
TEXTS = ["a horse", "an icon of a red apple.", "sun"]


@pytest.fixture(scope="module")
def clip() -> Any:
    torch.manual_seed(0)
    return build(MODEL).eval()


@torch.no_grad()
def test_the_fast_pass_is_open_clips(clip: Any) -> None:
    images = torch.from_numpy(drawings(3, size=MODEL.image_size))
    patches, places = plain_patches(images, MODEL.image_size, MODEL.patch_size)
    side = MODEL.image_size // MODEL.patch_size
    whole = functional.fold(
        patches.transpose(1, 2),
        (side * MODEL.patch_size,) * 2,
        MODEL.patch_size,
        stride=MODEL.patch_size,
    )
    fast = image_features(clip.visual, patches, places)
    torch.testing.assert_close(fast, clip.encode_image(whole), atol=1e-5, rtol=1e-4)
    tokens = tokenize_prompts(TEXTS)
    padded = functional.pad(tokens, (0, MODEL.context_length - tokens.shape[1]))
    fast = text_features(clip, tokens, torch.float32)
    torch.testing.assert_close(fast, clip.encode_text(padded), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_joined_texts_are_the_projected_sentences(clip: Any) -> None:
    """Joining is exact: (student's sentence embedding - mean) W, up to rounding."""
    torch.manual_seed(1)
    student = TextStudent(build(MODEL))
    projection, mean = torch.randn(384, MODEL.embed_dim), torch.randn(384) * 0.05
    image = {f"visual.{name}": value for name, value in clip.visual.state_dict().items()}
    image |= {"projection": projection, "mean": mean, "log_scale": torch.tensor(3.0)}
    joined = join_towers(MODEL, image, student.state_dict())
    tokens = tokenize_prompts(TEXTS)
    expected = (text_features(student, tokens, torch.float32) - mean) @ projection
    found = text_features(joined, tokens, torch.float32)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    assert joined.logit_scale == 3


@torch.no_grad()
def test_an_export_is_a_model_of_open_clip(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    monkeypatch.setattr(exporting, "load_recipe", tiny_recipe)
    size = exporting.export(clip, {"image": "8"}, tmp_path)
    assert size == (tmp_path / "model.safetensors").stat().st_size
    loaded, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(TEXTS)
    loaded.eval()
    images = torch.rand(2, 3, 32, 32)
    for name, value in (("encode_image", images), ("encode_text", tokens)):
        # fp16 keeps eleven bits of every weight
        torch.testing.assert_close(
            getattr(loaded, name)(value), getattr(clip, name)(value), atol=2e-2, rtol=2e-2
        )


@torch.no_grad()
def test_the_shipped_weights_load_in_open_clip() -> None:
    import open_clip

    place = f"local-dir:{FOLDER_OF_WEIGHTS}"
    model, _, _ = open_clip.create_model_and_transforms(place)
    assert type(model).__name__ == "CLIP"
    assert (FOLDER_OF_WEIGHTS / "model.safetensors").stat().st_size <= exporting.LIMIT_BYTES
    names = ["horse", "pizza", "guitar", "pony"]
    texts = functional.normalize(model.eval().encode_text(open_clip.get_tokenizer(place)(names)))
    similar = texts @ texts.T
    assert similar[0, 3] > similar[0, 1:3].max()  # a pony is nearer to a horse than food or music


def test_weights_that_fp16_cannot_hold_are_refused(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "load_recipe", tiny_recipe)
    broken = build(MODEL)
    with torch.no_grad():
        broken.text_projection.fill_(1e6)
    with pytest.raises(ValueError, match="text_projection"):
        exporting.export(broken, {}, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
