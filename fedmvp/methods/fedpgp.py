"""FedPGP: a shared context plus a low-rank personal part (docs/method.md#fedpgp).

Shapes: K classes, n context tokens, d text width, b bottleneck, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Batch, Loss, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import template_features
from fedmvp.methods.frozen_image import PromptedTextMethod, frozen_batch
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian

__all__ = ["FedPGP", "FedPGPParams", "contrast"]


class FedPGPParams(ChunkParams):
    """``methods.fedpgp`` of params.yaml."""

    n_context: int = Field(default=16, ge=1, description="n, tokens of the context.")
    bottleneck: int = Field(default=8, ge=1, description="b, rank of the personal part.")
    contrast_weight: Float = Field(default=1.0, ge=0, description="mu of the contrastive term.")
    temperature: Float = Field(default=0.5, gt=0, description="tau of the contrastive term.")
    anchor: Literal["placeholders", "template"] = Field(
        default="placeholders",
        description="Fixed text towards which the shared context is drawn: n times X in front of "
        "the class name (the published code), or the dataset's template.",
    )


class FedPGP(PromptedTextMethod):
    """Context σ + U V as a client, σ as the server; CE and a contrast of three texts. σ is sent."""

    Params: ClassVar[type[MethodParams]] = FedPGPParams
    many_labels: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    params: FedPGPParams

    def __init__(self, backbone: Backbone, params: FedPGPParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        n, b, d = params.n_context, params.bottleneck, backbone.spec.text.width
        self.context = gaussian(n, d, generator=self.generator("context"))
        self.factor_u = gaussian(n, b, generator=self.generator("factor_u"))
        self.factor_v = gaussian(b, d, generator=self.generator("factor_v"))
        self.global_only = False

    def communicated(self, phase: str) -> list[str]:
        """Return the shared context, which alone is sent."""
        return ["context"]

    def enter(self, phase: str | None) -> None:
        """Use the personal part as a client, only the shared context as the server."""
        self.global_only = phase is None

    def own_context(self) -> Tensor:
        """Return the client's context σ + U V, [n, d]."""
        return self.context + self.factor_u @ self.factor_v

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]."""
        if self.global_only:
            return self.texts.remembered(self.memory, classes, self.context)
        tensors = [self.context, self.factor_u, self.factor_v]
        return self.memory(
            self.texts.texts(classes),
            tensors,
            lambda: self.texts.encode(classes, self.own_context()),
        )

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return L_ce + μ L_con."""
        own = self.texts.encode(classes, self.own_context())
        shared = self.texts.encode(classes, self.context)
        logits = self.backbone.scale * frozen_batch(batch) @ own.T
        cross_entropy = F.cross_entropy(logits, batch.labels)
        term = contrast(self._anchor(classes), shared, own, self.params.temperature)
        total = cross_entropy + self.params.contrast_weight * term
        return Loss(total, logits, {"loss_ce": cross_entropy, "loss_con": term})

    def _anchor(self, classes: ClassSet) -> Tensor:
        placeholders = self.params.anchor == "placeholders"
        return template_features(classes, f"{self.texts.opening} {{}}." if placeholders else None)


def contrast(anchor: Tensor, shared: Tensor, own: Tensor, temperature: float) -> Tensor:
    """Return mean_c −log(e^(a/τ) / (e^(a/τ) + e^(b/τ))), a = cos(z_0, z_G), b = cos(z_G, z_P).

    It draws the shared texts z_G towards the fixed ones z_0 and away from the client's z_P.

    Parameters
    ----------
    anchor, shared, own : Tensor of shape [K, e]
        L2-normalised.
    temperature : float
        τ.
    """
    near, far = (anchor * shared).sum(dim=-1), (shared * own).sum(dim=-1)
    return F.softplus((far - near) / temperature).mean()
