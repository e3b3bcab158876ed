"""What a backbone is: sizes, activation, preprocessing and the hash of its weights.

Written once by the backbone stage and asserted on every load, so that no run can silently use
another activation, another input size or other weights.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["BackboneSpec", "TextSpec", "VisionSpec"]


_MAX = 65_536
"""No tower is wider, longer or deeper; a damaged file may say so."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        width, heads = getattr(self, "width", 0), getattr(self, "heads", 1)
        if width % heads:
            raise ValueError(f"a width of {width} has no {heads} heads")
        return self


class VisionSpec(_Frozen):
    """Sizes of the image tower (a plain ViT)."""

    image_size: int = Field(ge=1, le=_MAX, description="Side of the square input in pixels.")
    patch_size: int = Field(ge=1, le=_MAX, description="Side of a patch in pixels.")
    width: int = Field(ge=1, le=_MAX, description="d_v, token width.")
    layers: int = Field(ge=1, le=1000)
    heads: int = Field(ge=1, le=_MAX)
    mlp_width: int = Field(ge=1, le=_MAX)
    pre_norm: bool = Field(description="Whether tokens pass ln_pre before the first block.")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid."""
        side = self.image_size // self.patch_size
        return side, side

    @property
    def patches(self) -> int:
        """Number of patch tokens b."""
        rows, columns = self.grid
        return rows * columns

    def activations(self, *, training: bool) -> int:
        """Estimate the numbers held per image while it passes the tower.

        With frozen weights a block keeps for its backward pass the inputs of its two norms,
        queries, keys, values and their mixture, and the hidden layer before and after its
        activation; without gradients one block's are held at a time. The last block computes the
        CLS row alone.
        """
        per_token = 6 * self.width + 2 * self.mlp_width
        return (1 + self.patches) * per_token * (max(1, self.layers - 1) if training else 1)


class TextSpec(_Frozen):
    """Sizes of the text tower (a causal transformer over CLIP's BPE)."""

    context_length: int = Field(ge=2, le=4096, description="L, tokens of a text.")
    vocabulary: int = Field(ge=2, le=10_000_000)
    width: int = Field(ge=1, le=_MAX, description="d_t, token width.")
    layers: int = Field(ge=1, le=1000)
    heads: int = Field(ge=1, le=_MAX)
    mlp_width: int = Field(ge=1, le=_MAX)


class BackboneSpec(_Frozen):
    """A frozen CLIP model, fully described."""

    name: str
    pretrained: str | None
    embed_dim: int = Field(ge=1, le=_MAX, description="Width of the joint embedding.")
    quick_gelu: bool
    vision: VisionSpec
    text: TextSpec
    mean: tuple[float, float, float] = Field(description="RGB mean of the input, on [0, 1].")
    std: tuple[float, float, float]
    tower_sha256: str = Field(description="SHA-256 of weights.safetensors beside the spec.")
