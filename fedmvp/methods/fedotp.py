"""FedOTP: a shared and a personal context, matched by transport (docs/method.md#fedotp).

Only the shared context is sent. A client classifies with both; where no client is at hand (base
and new classes, other domains) the method defines nothing, and the shared context is used alone
(``global_only``): balanced transport to one prompt is uniform, so a logit is the mean similarity.

Shapes: B images, K classes, M image tokens, n context tokens, d text width, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian
from fedmvp.methods.transport import transport_plan

__all__ = ["FedOTP", "FedOTPParams"]


class FedOTPParams(ChunkParams):
    """``methods.fedotp`` of params.yaml."""

    n_context: int = Field(default=16, ge=1, description="n, tokens of each of the two contexts.")
    transport: Literal["partial", "balanced"] = Field(
        default="partial", description="Whether tokens may send less than their mass (COT)."
    )
    epsilon: Float = Field(default=0.1, gt=0, description="Entropy weight of the transport.")
    mass: Float = Field(default=0.8, gt=0, le=1, description="gamma, mass the prompts receive.")
    iterations: int = Field(default=100, ge=1, description="Most Sinkhorn scalings.")
    threshold: Float = Field(default=1e-3, ge=0, description="Change at which scaling stops.")
    memory_budget_mib: Float = Field(
        default=512.0, gt=0, description="Memory of one transport of (image, class) pairs, MiB."
    )


class FedOTP(Method):
    """logit_k = s · Σ T ⊙ sim over image tokens and two prompts; learned with CE."""

    Params: ClassVar[type[MethodParams]] = FedOTPParams
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
        """Only the shared context travels."""
        return ["global_context"]

    def enter(self, phase: str | None) -> None:
        """Use both contexts as a client, the shared one alone as the server."""
        self.global_only = phase is None

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores, [B, 3, S, S] → [B, K]."""
        tower = self.backbone.vision
        with torch.no_grad(), self.backbone.autocast():
            tokens = tower.tokens(tower.embed(images))[:, 1:]
        tokens = F.normalize(tokens.float(), dim=-1)
        shared = self._texts(classes, self.global_context, self.global_memory)
        if self.global_only:
            return self.backbone.scale * tokens.mean(dim=1) @ shared.T
        own = self._texts(classes, self.local_context, self.local_memory)
        texts = torch.stack([shared, own], dim=1)
        size = self._chunk_size(tokens.shape[1], len(classes))
        return self.backbone.scale * torch.cat(
            [self._matched(part, texts) for part in torch.split(tokens, size)]
        )

    def _texts(self, classes: ClassSet, context: Tensor, memory: TextMemory) -> Tensor:
        return memory(
            self.texts.texts(classes), [context], lambda: self.texts.encode(classes, context)
        )

    def _matched(self, tokens: Tensor, texts: Tensor) -> Tensor:
        """Return Σ T ⊙ sim, [B, M, e] and [K, 2, e] → [B, K]."""
        similarity = torch.einsum("bme,kqe->bkmq", tokens, texts)
        plan = transport_plan(
            similarity.detach().flatten(0, 1),
            epsilon=self.params.epsilon,
            mass=self.params.mass if self.params.transport == "partial" else 1.0,
            partial=self.params.transport == "partial",
            iterations=self.params.iterations,
            threshold=self.params.threshold,
        )
        return (plan.view_as(similarity) * similarity).sum(dim=(2, 3))

    def _chunk_size(self, tokens: int, classes: int) -> int:
        """Return how many images fit the budget: six float64 copies of their similarities."""
        bytes_per_image = 6 * 8 * 2 * tokens * classes
        return max(1, int(self.params.memory_budget_mib * 2**20 / bytes_per_image))
