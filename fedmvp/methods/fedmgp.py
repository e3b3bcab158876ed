"""FedMGP: groups of text and visual prompts, of which a client shares some (docs/method.md#fedmgp).

A logit is a mean over groups, so their order does not matter: a client moves the groups it chose to
share to the first places, which are the ones that are sent and received.

Shapes: B images, K classes, G groups of n prompts, k shared groups, d_t text and d_v vision width,
e joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Batch, Loss, Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.text_prompts import (
    ChunkParams,
    ContextParams,
    PromptTexts,
    TextMemory,
    gaussian,
    initial_context,
)

__all__ = ["FedMGP", "FedMGPParams", "agreement", "chances"]

_NOISE = 0.01  # added to the groups' initial values, which come from the same words


class FedMGPParams(ContextParams, ChunkParams):
    """``methods.fedmgp`` of params.yaml."""

    n_context: int = Field(default=2, ge=1, description="n, prompts per group of both towers.")
    context_init: str | None = Field(
        default="a photo of a",
        description="Words the texts begin with; the first n tokens are learned, the rest stay. "
        "null: n random ones.",
    )
    groups: int = Field(default=5, ge=2, description="G, groups of prompts.")
    shared_groups: int = Field(default=2, ge=1, description="k, groups a client sends.")
    temperature: Float = Field(
        default=1.0, gt=0, description="tau, temperature of the choice of groups."
    )
    diversity: Literal["apart", "together"] = Field(
        default="apart",
        description="Whether the loss drives the groups' features apart (the paper) or, with the "
        "published code's sign, together.",
    )
    diversity_weight: Float = Field(default=1.0, ge=0, description="Weight of that term.")

    @model_validator(mode="after")
    def _some_stay(self) -> FedMGPParams:
        if self.shared_groups >= self.groups:
            raise ValueError(
                f"shared_groups {self.shared_groups} leaves none of {self.groups} "
                "groups personal: it must be smaller than groups"
            )
        return self


class FedMGP(Method):
    """logit_k = s · mean_g v_g · t_(g,k); learned with CE of every group; k groups are sent."""

    Params: ClassVar[type[MethodParams]] = FedMGPParams
    many_labels: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    params: FedMGPParams

    def __init__(self, backbone: Backbone, params: FedMGPParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(
            backbone, params.n_context, opening=params.context_init, chunk=params.text_chunk
        )
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        shape = params.n_context, backbone.spec.vision.width
        self.text, self.vision = nn.ParameterList(), nn.ParameterList()
        for group in range(params.groups):
            draw = self.generator(f"text {group}")
            start = initial_context(backbone, params, draw)
            if params.context_init is not None:
                noise = torch.randn(start.shape, generator=draw).to(start.device)
                start = nn.Parameter(start.detach() + _NOISE * noise)
            self.text.append(start)
            self.vision.append(gaussian(*shape, generator=self.generator(f"vision {group}")))
        self.used = params.groups

    def communicated(self, phase: str) -> list[str]:
        """Return the names of the groups in the first places."""
        places = range(self.params.shared_groups)
        return [f"{kind}.{place}" for kind in ("text", "vision") for place in places]

    def enter(self, phase: str | None) -> None:
        """Use all groups as a client, only the shared ones as the server."""
        self.used = self.params.shared_groups if phase is None else self.params.groups

    def rearranged(
        self, received: Mapping[str, Tensor], generator: torch.Generator, round_index: int
    ) -> dict[str, str]:
        """Draw the groups to send; those similar to the shared ones received are more likely.

        In the first round, when nothing shared has been learned yet, all are equally likely.
        """
        places: dict[str, str] = {}
        for kind, groups in (("text", self.text), ("vision", self.vision)):
            shared = [received[f"{kind}.{i}"] for i in range(self.params.shared_groups)]
            shares = chances(list(groups), shared, self.params.temperature)
            if round_index == 0:
                shares = torch.ones_like(shares)
            first = torch.multinomial(shares, len(shared), generator=generator).tolist()
            order = [*first, *(group for group in range(len(groups)) if group not in first)]
            places |= {f"{kind}.{new}": f"{kind}.{old}" for new, old in enumerate(order)}
        return places

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class in every group used, [G, K, e]."""
        contexts = list(self.text)[: self.used]
        return self.memory(
            self.texts.texts(classes),
            contexts,
            lambda: torch.stack([self.texts.encode(classes, one) for one in contexts]),
        )

    def image_features(self, images: Tensor) -> Tensor:
        """Return the feature of each image with every group used, [B, 3, S, S] → [G, B, e]."""
        tower = self.backbone.vision
        with self.backbone.autocast():
            embedded = tower.embed(images)
            features = [
                tower(embedded, prompts[None]) for prompts in list(self.vision)[: self.used]
            ]
        return F.normalize(torch.stack(features).float(), dim=-1)

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores, [B, 3, S, S] → [B, K]."""
        return self._scores(self.image_features(images), self.text_features(classes)).mean(dim=0)

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return the groups' mean cross-entropy and the weighted diversity term."""
        images, texts = self.image_features(batch.images), self.text_features(classes)
        scores = self._scores(images, texts)
        groups = len(scores)
        cross_entropy = F.cross_entropy(scores.flatten(0, 1), batch.labels.repeat(groups))
        alike = (agreement(images) + agreement(texts)) / 2
        term = alike if self.params.diversity == "apart" else 1 - alike
        total = cross_entropy + self.params.diversity_weight * term
        return Loss(total, scores.mean(dim=0), {"loss_ce": cross_entropy, "loss_con": term})

    def _scores(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return s · v_g · t_(g,k) of every group, [G, B, K]."""
        return self.backbone.scale * images @ texts.transpose(1, 2)


def agreement(features: Tensor) -> Tensor:
    """Return the mean cosine of normalised features over pairs of groups, [G, N, e] → scalar."""
    groups = len(features)
    cosines = torch.einsum("gne,hne->gh", features, features) / features.shape[1]
    return cosines.triu(1).sum() / (groups * (groups - 1) / 2)


@torch.no_grad()
def chances(groups: Sequence[Tensor], shared: Sequence[Tensor], temperature: float) -> Tensor:
    """Return softmax_g(max_j cos(group g, shared j) / τ), [G], float64 on the CPU.

    Parameters
    ----------
    groups, shared : sequence of Tensor of shape [n, d]
    temperature : float
        τ.
    """
    one = F.normalize(torch.stack([group.double().flatten() for group in groups]), dim=1)
    other = F.normalize(torch.stack([group.double().flatten() for group in shared]), dim=1)
    return ((one @ other.T).max(dim=1).values / temperature).softmax(dim=0).cpu()
