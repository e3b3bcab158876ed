"""FedOTP: a shared and a personal context, matched by transport (docs/method.md#fedotp).

Only the shared context is sent. A client classifies with both. Where there is no client (base and
new classes, other domains), the method defines nothing, and only the shared context is used
(``global_only``): balanced transport to one prompt is uniform, so a logit is the mean similarity.

Shapes: B images, K classes, M image tokens, n context tokens, d text width, e joint embedding.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian
from fedmvp.methods.transport import matched, patch_features, transport_plan

__all__ = ["FedOTP", "FedOTPParams"]


class FedOTPParams(ChunkParams):
    """``methods.fedotp`` of params.yaml."""

    n_context: int = Field(default=16, ge=1, description="n, tokens of each of the two contexts.")
    transport: Literal["partial", "balanced"] = Field(
        default="partial", description="`partial`: tokens may send less than all (COT)."
    )
    epsilon: Float = Field(default=0.1, gt=0, description="Entropy weight of the transport.")
    mass: Float = Field(
        default=0.8, gt=0, le=1, description="gamma, total mass the prompts receive."
    )
    iterations: int = Field(default=100, ge=1, description="Most Sinkhorn iterations.")
    threshold: Float = Field(default=1e-3, ge=0, description="Change at which scaling stops.")
    memory_budget_mib: Float = Field(
        default=512.0, gt=0, description="Memory of one transport of (image, class) pairs, MiB."
    )


class FedOTP(Method):
    """logit_k = s · Σ T ⊙ sim over image tokens and two prompts; learned with CE."""

    Params: ClassVar[type[MethodParams]] = FedOTPParams
    one_text: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    params: FedOTPParams

    def __init__(self, backbone: Backbone, params: FedOTPParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        once = backbone.shortcuts.texts_once
        self.global_memory, self.local_memory = TextMemory(once), TextMemory(once)
        shape = params.n_context, backbone.spec.text.width
        self.global_context = gaussian(*shape, generator=self.generator("global_context"))
        self.local_context = gaussian(*shape, generator=self.generator("local_context"))
        self.global_only = False

    def communicated(self, phase: str) -> list[str]:
        """Return the shared context, and the head's numbers if it has any."""
        return ["global_context", *(f"head.{name}" for name, _ in self.head.named_parameters())]

    def enter(self, phase: str | None) -> None:
        """Use both contexts as a client, only the shared one as the server."""
        self.global_only = phase is None

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores, [B, 3, S, S] → [B, K]."""
        tokens = patch_features(self.backbone, images)
        shared = self.texts.remembered(self.global_memory, classes, self.global_context)
        if self.global_only:
            return self.backbone.scale * tokens.mean(dim=1) @ shared.T
        own = self.texts.remembered(self.local_memory, classes, self.local_context)
        plan = partial(
            transport_plan,
            epsilon=self.params.epsilon,
            mass=self.params.mass if self.params.transport == "partial" else 1.0,
            partial=self.params.transport == "partial",
            iterations=self.params.iterations,
            threshold=self.params.threshold,
        )
        texts = torch.stack([shared, own], dim=1)
        return self.backbone.scale * matched(tokens, texts, plan, self.params.memory_budget_mib)
