"""A small recipe, drawings and a corpus, made up."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pretrain.corpus import Corpus
from pretrain.recipe import Model, Recipe, load_recipe

ICONS, TEXTS = 24, 40


def tiny_model() -> Model:
    return Model(
        embed_dim=16,
        image_size=32,
        patch_size=8,
        width=64,
        layers=2,
        head_width=32,
        text_width=32,
        text_layers=2,
        text_heads=2,
        context_length=77,
    )


def tiny_recipe(steps: int = 6) -> Recipe:
    """The real recipe with small shapes and few steps."""
    recipe = load_recipe()
    short = {"batch_size": 8, "warmup_steps": 2}
    image = {**short, "keep_tokens": 6, "negatives": 10, "images": 8 * steps}
    joint = {**short, "keep_tokens": 6, "negatives": 10, "distilled": 4, "images": 8 * steps}
    return recipe.model_copy(
        update={
            "model": tiny_model(),
            "image_phase": recipe.image_phase.model_copy(update=image),
            "text_phase": recipe.text_phase.model_copy(update={**short, "texts": 8 * steps}),
            "joint_phase": recipe.joint_phase.model_copy(update=joint),
        }
    )


def drawings(count: int, seed: int = 0, size: int = 64) -> NDArray[np.uint8]:
    """RGBA pictures [count, size, size, 4] of five coloured bars and discs each, unlike another."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size]
    images = np.zeros((count, size, size, 4), dtype=np.uint8)
    for image in images:
        for shape in range(5):
            cy, cx, radius = draw.uniform(0.2, 0.8) * size, draw.uniform(0.2, 0.8) * size, size / 7
            across = (
                np.hypot(y - cy, (x - cx) * draw.uniform(0.4, 2))
                if shape % 2
                else np.maximum(abs(y - cy), abs(x - cx) * draw.uniform(0.4, 2))
            )
            image[across < radius] = [*draw.integers(0, 256, 3), 255]
    return images


def tiny_corpus() -> Corpus:
    """Icons with a name, another name, and for half of them a caption that names colours."""
    draw = np.random.default_rng(3)
    slots = np.stack([np.arange(ICONS), np.arange(ICONS) % 8 + 24, np.arange(ICONS) % 8 + 32], 1)
    named = np.zeros((ICONS, 3), dtype=bool)
    named[: ICONS // 2, 2] = True
    slots[ICONS // 2 :, 2] = -1
    shares = np.where(slots >= 0, [0.5, 0.3, 0.2], 0).astype(np.float32)
    embeddings = torch.from_numpy(draw.normal(size=(TEXTS, 384)).astype(np.float32))
    return Corpus(
        images=drawings(ICONS, size=32),
        mono=torch.arange(ICONS) % 5 == 0,
        slots=torch.from_numpy(slots),
        slot_shares=torch.from_numpy(shares),
        slot_named=torch.from_numpy(named),
        embeddings=torch.nn.functional.normalize(embeddings, dim=1),
        weights=torch.full((ICONS,), 1 / ICONS, dtype=torch.float64),
        text_weights=torch.full((TEXTS,), 1 / TEXTS, dtype=torch.float64),
    )
