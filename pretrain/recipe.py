"""The validated recipe: pretrain/params.yaml as frozen models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FOLDER", "WORK", "Recipe", "load_recipe"]

FOLDER = Path(__file__).parent
WORK = FOLDER / "work"
Group = Literal["emoji", "colour", "thing", "plain"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sources(_Part):
    """Package versions."""

    iconify: str
    minilm: str


class Icons(_Part):
    """Which icon sets are used, for what, and how much of each."""

    benchmark: tuple[str, ...]
    emoji: tuple[str, ...]
    validation: tuple[str, ...]
    excluded_categories: tuple[str, ...]
    excluded: tuple[str, ...]
    excluded_licences: tuple[str, ...]
    size_px: int = Field(ge=16, le=256)
    variants_per_concept: int = Field(ge=1)
    things_per_concept: int = Field(ge=1)
    plain_per_set: int = Field(ge=0)
    shares: dict[Group, float]
    concept_power: float = Field(ge=0, le=1)


class Screen(_Part):
    """Thresholds under which an icon counts as a copy of a benchmark image."""

    phash_bits: int = Field(ge=0, le=64)
    thumb_rms: float = Field(ge=0, le=1)


class Captions(_Part):
    """Probability of each kind of caption."""

    name: float
    other_names: float
    gloss: float
    hypernym: float
    colour: float


class Model(_Part):
    """The open_clip configuration's numbers."""

    embed_dim: int
    image_size: int
    patch_size: int
    width: int
    layers: int
    head_width: int
    text_width: int
    text_layers: int
    text_heads: int
    context_length: int


class ImagePhase(_Part):
    """Image tower against projected sentence embeddings."""

    batch_size: int
    keep_tokens: int
    negatives: int
    muon_learning_rate: float
    adam_learning_rate: float
    weight_decay: float
    warmup_steps: int
    images: int
    cooldown_fraction: float
    ema_decay: float
    checkpoint_minutes: float
    seed: int


class TextPhase(_Part):
    """Text tower against the same sentence embeddings."""

    batch_size: int
    muon_learning_rate: float
    adam_learning_rate: float
    weight_decay: float
    warmup_steps: int
    texts: int
    cooldown_fraction: float
    contrastive_weight: float
    contrastive_scale: float
    ema_decay: float
    checkpoint_minutes: float
    seed: int


class JointPhase(_Part):
    """Both towers together, on captions."""

    batch_size: int
    keep_tokens: int
    negatives: int
    distilled: int
    muon_learning_rate: float
    adam_learning_rate: float
    weight_decay: float
    warmup_steps: int
    images: int
    cooldown_fraction: float
    distill_weight: float
    ema_decay: float
    checkpoint_minutes: float
    seed: int


class Recipe(_Part):
    """All of pretrain/params.yaml."""

    sources: Sources
    icons: Icons
    screen: Screen
    captions: Captions
    model: Model
    image_phase: ImagePhase
    text_phase: TextPhase
    joint_phase: JointPhase


def load_recipe(path: Path = FOLDER / "params.yaml") -> Recipe:
    """Read and validate the recipe.

    Raises
    ------
    pydantic.ValidationError
        On an unknown key or an impossible value.
    """
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Recipe.model_validate(content)
