"""FedPromptSRC: prompts of both towers kept close to zero-shot CLIP (docs/method.md#fedpromptsrc).

Training continues from the average over clients; a Gaussian-weighted mean of these averages over
rounds is evaluated.

Shapes: B images, K classes, n prompts, D prompted blocks, d_t text and d_v vision width, e joint
embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Batch, Loss, Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import CLIP_TEMPLATES, Template, ensemble_features
from fedmvp.methods.frozen_image import frozen_batch
from fedmvp.methods.server import MethodServer
from fedmvp.methods.text_prompts import (
    ChunkParams,
    ContextParams,
    PromptTexts,
    TextMemory,
    gaussian,
    initial_context,
)

__all__ = ["FedPromptSRC", "FedPromptSRCParams", "GaussianAverage", "round_weights"]


class FedPromptSRCParams(ContextParams, ChunkParams):
    """``methods.fedpromptsrc`` of params.yaml."""

    n_context: int = Field(default=4, ge=1, description="n, prompts per block of both towers.")
    context_init: str | None = Field(
        default="a photo of a",
        description="Words whose embeddings are the initial context; those beyond n stay fixed. "
        "null: N(0, 0.02²).",
    )
    depth: int = Field(
        default=9, ge=1, description="D, prompted blocks; at most those of the shallower tower."
    )
    templates: tuple[Template, ...] = Field(
        default=CLIP_TEMPLATES,
        min_length=1,
        description="Templates of zero-shot CLIP, in addition to the dataset's own.",
    )
    text_weight: Float = Field(
        default=25.0, ge=0, description="Weight of the texts' mean distance."
    )
    image_weight: Float = Field(
        default=10.0, ge=0, description="Weight of the images' mean distance."
    )
    average_centre: Float = Field(
        default=0.75, ge=0, le=1, description="Mean of the Gaussian, as a share of all rounds."
    )
    average_width: Float = Field(
        default=0.05, gt=0, description="Its standard deviation, as a share of all rounds."
    )


class FedPromptSRC(Method):
    """CE + 25 mean|t - t⁰| + 10 mean|v - v⁰| + KL(zero-shot ‖ prompted); all sent."""

    Params: ClassVar[type[MethodParams]] = FedPromptSRCParams
    many_labels: ClassVar[bool] = False
    params: FedPromptSRCParams

    def __init__(self, backbone: Backbone, params: FedPromptSRCParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        spec = backbone.spec
        self.texts = PromptTexts(
            backbone, params.n_context, opening=params.context_init, chunk=params.text_chunk
        )
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        depth, n = min(params.depth, spec.text.layers, spec.vision.layers), params.n_context
        self.context = initial_context(backbone, params, self.generator("context"))
        self.deep = gaussian(depth - 1, n, spec.text.width, generator=self.generator("deep"))
        self.visual = gaussian(depth, n, spec.vision.width, generator=self.generator("visual"))

    def server(self, rounds: int) -> GaussianAverage:
        """Return the average over rounds."""
        params = self.params
        return GaussianAverage(round_weights(rounds, params.average_centre, params.average_width))

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]."""
        deep = {block: prompts for block, prompts in enumerate(self.deep, start=1)}
        return self.memory(
            self.texts.texts(classes),
            [self.context, self.deep],
            lambda: self.texts.encode(classes, self.context, deep),
        )

    def image_features(self, images: Tensor) -> Tensor:
        """Return prompted features, L2-normalised, [B, 3, S, S] → [B, e]."""
        tower = self.backbone.vision
        first, *others = (prompts[None] for prompts in self.visual)
        with self.backbone.autocast():
            features = tower(tower.embed(images), first, deep=dict(enumerate(others, start=1)))
        return F.normalize(features.float(), dim=-1)

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return s · cos(v, t_k), [B, 3, S, S] → [B, K]."""
        return self.backbone.scale * self.image_features(images) @ self.text_features(classes).T

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return cross-entropy plus distances of texts, images and logits to zero-shot CLIP's."""
        params, scale = self.params, self.backbone.scale
        images, texts = self.image_features(batch.images), self.text_features(classes)
        plain_images = frozen_batch(batch)
        plain_texts = ensemble_features(classes, params.templates)
        logits = scale * images @ texts.T
        cross_entropy = F.cross_entropy(logits, batch.labels)
        divergence = F.kl_div(
            F.log_softmax(logits, dim=1),
            F.log_softmax(scale * plain_images @ plain_texts.T, dim=1),
            reduction="sum",
            log_target=True,
        )
        others = (
            params.text_weight * (texts - plain_texts).abs().mean()
            + params.image_weight * (images - plain_images).abs().mean()
            + divergence / logits.numel()
        )
        return Loss(cross_entropy + others, logits, {"loss_ce": cross_entropy, "loss_con": others})


def round_weights(rounds: int, centre: float, width: float) -> list[float]:
    """Return the share of each round in the average; they sum to 1.

    Shares are proportional to exp(-(t - μ)² / (2 σ²)), t = 1 … T, μ = centre · T, σ = width · T.
    """
    t = torch.arange(1, rounds + 1, dtype=torch.float64)
    shares: list[float] = (-((t / rounds - centre) / width).square() / 2).softmax(dim=0).tolist()
    return shares


class GaussianAverage(MethodServer):
    """Σ_t share_t · w_t of the global tensors w_t, which is what is evaluated.

    Parameters
    ----------
    shares : sequence of float
        Share of each round.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        super().__init__()
        self.shares = shares

    def end_round(self, tensors: Mapping[str, Tensor], round_index: int) -> None:
        """Add the round's global tensors with their share."""
        for name, tensor in tensors.items():
            term = self.shares[round_index] * tensor.double()
            self.state[name] = self.state[name] + term if name in self.state else term

    def evaluated(self, tensors: Mapping[str, Tensor], round_index: int) -> dict[str, Tensor]:
        """Return the average; before the last round, over the rounds so far."""
        last = round_index + 1 == len(self.shares)
        seen = 1.0 if last else math.fsum(self.shares[: round_index + 1])
        return {name: (self.state[name] / seen).to(t.dtype) for name, t in tensors.items()}
