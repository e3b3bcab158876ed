"""The validated recipe: pretrain/params.yaml as frozen models."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FOLDER", "MADE", "Phase", "PhaseName", "Recipe", "load_recipe"]

FOLDER = Path(__file__).parent
MADE = FOLDER / "made"
Group = Literal["emoji", "colour", "thing", "plain"]
PhaseName = Literal["image", "text", "joint"]
# A run may be made longer, or cooled down early, without becoming another one.
_LENGTH = frozenset({"images", "texts", "cooldown_fraction", "checkpoint_minutes"})


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


class Phase(_Part):
    """What every phase of the training has; `total` examples are seen in batches."""

    batch_size: int = Field(ge=1)
    muon_learning_rate: float = Field(gt=0)
    adam_learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    cooldown_fraction: float = Field(ge=0, le=1)
    ema_decay: float = Field(ge=0, lt=1)
    checkpoint_minutes: float = Field(gt=0)
    seed: int

    @property
    @abstractmethod
    def total(self) -> int:
        """How many examples the phase sees."""


class ImagePhase(Phase):
    """Image tower against projected sentence embeddings."""

    keep_tokens: int = Field(ge=1)
    negatives: int = Field(ge=1)
    images: int = Field(ge=1)

    @property
    def total(self) -> int:
        """Images."""
        return self.images


class TextPhase(Phase):
    """Text tower against the same sentence embeddings."""

    texts: int = Field(ge=1)
    contrastive_weight: float = Field(ge=0)
    contrastive_scale: float = Field(gt=0)

    @property
    def total(self) -> int:
        """Texts."""
        return self.texts


class JointPhase(Phase):
    """Both towers together, on captions."""

    keep_tokens: int = Field(ge=1)
    negatives: int = Field(ge=1)
    distilled: int = Field(ge=0)
    images: int = Field(ge=1)
    distill_weight: float = Field(ge=0)

    @property
    def total(self) -> int:
        """Images."""
        return self.images


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

    def phase(self, name: PhaseName) -> Phase:
        """Return a phase's numbers."""
        phases: dict[PhaseName, Phase] = {
            "image": self.image_phase,
            "text": self.text_phase,
            "joint": self.joint_phase,
        }
        return phases[name]

    def identity(self, name: PhaseName) -> str:
        """Return what a checkpoint of a phase must have been trained with, as JSON.

        That is the phase's section without its length, the model and the data.
        """
        content = self.model_dump(
            mode="json", include={"sources", "icons", "screen", "captions", "model"}
        )
        content["phase"] = self.phase(name).model_dump(mode="json", exclude=set(_LENGTH))
        return json.dumps(content, sort_keys=True)


def load_recipe(path: Path = FOLDER / "params.yaml") -> Recipe:
    """Read and validate the recipe.

    Raises
    ------
    pydantic.ValidationError
        On an unknown key or an impossible value.
    """
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Recipe.model_validate(content)
