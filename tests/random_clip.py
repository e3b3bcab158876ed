"""Backbones with random weights in the shapes of real ones, and a tokenizer that needs no download.

Weights come from a fixed generator with variances that keep activations near one, so that every
part of a tower has an influence on its output that a test can see.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fedmvp.clip import tokens
from fedmvp.clip.backbone import Backbone
from fedmvp.clip.spec import BackboneSpec, TextSpec, VisionSpec

VOCABULARY = 1000
START, END = VOCABULARY - 2, VOCABULARY - 1

#: Vision: image, patch, width, layers, heads; text: width, layers, heads; joint embedding.
SHAPES: dict[str, dict[str, int]] = {
    # Every width differs, so that one taken for another cannot pass.
    "tiny": {
        "image": 32,
        "patch": 8,
        "width": 64,
        "layers": 3,
        "heads": 2,
        "text_width": 48,
        "text_layers": 2,
        "text_heads": 2,
        "embed": 40,
        "context": 77,
    },
    "picto": {
        "image": 64,
        "patch": 8,
        "width": 192,
        "layers": 4,
        "heads": 3,
        "text_width": 128,
        "text_layers": 4,
        "text_heads": 4,
        "embed": 128,
        "context": 77,
    },
    "vit_b16": {
        "image": 224,
        "patch": 16,
        "width": 768,
        "layers": 12,
        "heads": 12,
        "text_width": 512,
        "text_layers": 12,
        "text_heads": 8,
        "embed": 512,
        "context": 77,
    },
}


def backbone_spec(
    shape: str, *, layers: int | None = None, quick_gelu: bool = False, pre_norm: bool = True
) -> BackboneSpec:
    """Return the spec of a shape, its towers cut to `layers` blocks."""
    size = SHAPES[shape]
    identity = f"{shape} {layers} {quick_gelu} {pre_norm}"
    return BackboneSpec(
        name=shape,
        pretrained=None,
        embed_dim=size["embed"],
        quick_gelu=quick_gelu,
        vision=VisionSpec(
            image_size=size["image"],
            patch_size=size["patch"],
            width=size["width"],
            layers=layers or size["layers"],
            heads=size["heads"],
            mlp_width=4 * size["width"],
            pre_norm=pre_norm,
        ),
        text=TextSpec(
            context_length=size["context"],
            vocabulary=VOCABULARY,
            width=size["text_width"],
            layers=layers or size["text_layers"],
            heads=size["text_heads"],
            mlp_width=4 * size["text_width"],
        ),
        mean=(0.48, 0.46, 0.41),
        std=(0.27, 0.26, 0.28),
        # Stands for the file's hash: keys of the text cache must differ between shapes.
        tower_sha256=hashlib.sha256(identity.encode()).hexdigest(),
    )


def random_backbone(
    shape: str, *, layers: int | None = None, quick_gelu: bool = False, pre_norm: bool = True
) -> Backbone:
    """Return a frozen backbone of a shape with random weights; the same on every call."""
    spec = backbone_spec(shape, layers=layers, quick_gelu=quick_gelu, pre_norm=pre_norm)
    generator = torch.Generator().manual_seed(20251018)
    state = {
        key: _draw(key, tensor.shape, generator)
        for key, tensor in Backbone(spec).state_dict().items()
    }
    return Backbone.from_state(spec, state)


def _draw(key: str, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    if key == "logit_scale":
        return torch.tensor(math.log(1 / 0.07))  # CLIP's own start
    noise = torch.randn(*shape, generator=generator)
    if "ln_" in key:
        return 0.1 * noise + (1.0 if key.endswith("weight") else 0.0)
    if key.endswith("bias"):
        return 0.05 * noise
    if "embedding" in key:
        return 0.5 * noise
    # proj and text_projection multiply from the right: their inputs are rows.
    inputs = shape[0] if key.endswith(("proj", "text_projection")) else math.prod(shape[1:])
    return noise / math.sqrt(inputs)


class WordTokenizer:
    """A stand-in for CLIP's BPE: one token per word or sign, start and end tokens, zero padding."""

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length

    def __call__(self, texts: Sequence[str]) -> Tensor:
        ids = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        for row, text in enumerate(texts):
            tokens = [START, *self.encode(text)[: self.context_length - 2], END]
            ids[row, : len(tokens)] = torch.tensor(tokens)
        return ids

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, uncut, without start and end."""
        return [self._token(word) for word in re.findall(r"\w+|[^\w\s]", text.lower())]

    @staticmethod
    def _token(word: str) -> int:
        return 1 + int(hashlib.sha256(word.encode()).hexdigest(), 16) % (VOCABULARY - 3)


def tokenize_words(patch: pytest.MonkeyPatch) -> None:
    """Replace CLIP's BPE, whose library takes seconds to import, by one token per word.

    Its ids are kept out of the disk cache, where CLIP's are expected.
    """
    patch.setattr(tokens, "import_tokenizer", WordTokenizer)
    patch.setattr(tokens, "cached_features", lambda key, compute: compute())
