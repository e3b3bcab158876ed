"""pFedMoAP: other clients' contexts as experts of a mixture (docs/method.md#pfedmoap).

The server keeps the last context of every client and sends each client the mean and the most
similar contexts of the others; a personal gate mixes their texts. A client without experts, as each
is in its first round, learns a plain prompt.

Shapes: B images, K classes, E experts (the client's own text is the first), n context tokens, d
text width, e joint embedding, w gate width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.cross_attention import Linear
from fedmvp.methods.frozen_image import FrozenImageMethod
from fedmvp.methods.server import MethodServer
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian

__all__ = ["Gate", "PFedMoAP", "PFedMoAPParams", "PromptPool"]


class PFedMoAPParams(ChunkParams):
    """``methods.pfedmoap`` of params.yaml."""

    n_context: int = Field(default=16, ge=1, description="n, tokens of a context.")
    n_experts: int = Field(
        default=10, ge=2, description="E, most experts, including the client's own context."
    )
    gate_width: int = Field(
        default=128, ge=1, description="w, width of the gate; at most the joint embedding's."
    )
    gate_heads: int = Field(default=8, ge=1, description="Heads of the gate.")
    gate_scale: Float = Field(default=10.0, gt=0, description="Factor of the gate's scores.")
    own_weight: Float = Field(default=0.5, ge=0, description="lambda of the client's own logits.")


class PFedMoAP(FrozenImageMethod):
    """logit_k = λ s v · t_k + s pool(v) · gate(pool(v), pool(t_k of all experts)); CE."""

    Params: ClassVar[type[MethodParams]] = PFedMoAPParams
    many_labels: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    forwards_updates: ClassVar[bool] = True
    params: PFedMoAPParams

    def __init__(self, backbone: Backbone, params: PFedMoAPParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.width = min(params.gate_width, backbone.spec.embed_dim)
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        once = backbone.shortcuts.texts_once
        self.memory, self.foreign_memory = TextMemory(once), TextMemory(once)
        shape = params.n_context, backbone.spec.text.width
        self.context = gaussian(*shape, generator=self.generator("context"))
        self.gate = Gate(self.width, params.gate_heads, params.gate_scale, self.generator("gate"))
        # Zeros mean that there is no expert.
        self.experts = nn.ParameterList(
            nn.Parameter(torch.zeros(shape)) for _ in range(params.n_experts - 1)
        )
        self.present: list[int] = []

    def trainable(self, phase: str) -> list[str]:
        """Return all tensors but the other clients' contexts."""
        return [name for name in self.tensors() if not name.startswith("experts.")]

    def communicated(self, phase: str) -> list[str]:
        """Return the context, which alone is sent."""
        return ["context"]

    def kept(self, phase: str) -> list[str]:
        """Return the gate and what the client's own model is tested with: context and experts."""
        return [*self.trainable(phase), *(f"experts.{index}" for index in self.present)]

    def server(self, rounds: int) -> PromptPool:
        """Return the pool of contexts."""
        return PromptPool(self.params.n_experts - 1)

    def enter(self, phase: str | None) -> None:
        """Mix the present experts as a client, use only the context as the server."""
        self.present = []
        if phase is not None:
            there = torch.stack([expert.detach().any() for expert in self.experts]).cpu().tolist()
            self.present = [index for index, is_there in enumerate(there) if is_there]

    def scores(self, features: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores of frozen image features, [B, e] → [B, K]."""
        own = self.texts.remembered(self.memory, classes, self.context)
        logits = self.backbone.scale * features @ own.T
        if not self.present:
            return logits
        experts = torch.cat([own[:, None], self._foreign(classes)], dim=1)
        image = self._pool(features)
        mixed = self.gate(image, self._pool(experts))
        matches = torch.einsum("bw,bkw->bk", image, mixed)
        return self.params.own_weight * logits + self.backbone.scale * matches

    @torch.no_grad()
    def _foreign(self, classes: ClassSet) -> Tensor:
        """Return the features of each class with every other client's context, [K, E - 1, e]."""
        contexts: list[Tensor] = [self.experts[index] for index in self.present]
        return self.foreign_memory(
            self.texts.texts(classes),
            contexts,
            lambda: torch.stack([self.texts.encode(classes, one) for one in contexts], dim=1),
        )

    def _pool(self, features: Tensor) -> Tensor:
        """Return every ⌊e / w⌋-th coordinate, [..., e] → [..., w]."""
        return features[..., :: features.shape[-1] // self.width][..., : self.width]


class Gate(nn.Module):
    """Attention of an image over the experts' texts of each class.

    Parameters
    ----------
    width, heads : int
    scale : float
        Factor of the scores, in place of 1/√(width / heads).
    """

    def __init__(self, width: int, heads: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"gate_width {width} is not divisible by {heads} heads")
        self.heads, self.scale = heads, scale
        self.query, self.key, self.value, self.output = (
            Linear(width, width, generator) for _ in range(4)
        )

    def forward(self, images: Tensor, experts: Tensor) -> Tensor:
        """Return the mixture of each image and class, [B, w] and [K, E, w] → [B, K, w]."""
        query = self.query(images).unflatten(-1, (self.heads, -1))
        key = self.key(experts).unflatten(-1, (self.heads, -1))
        value = self.value(experts).unflatten(-1, (self.heads, -1))
        shares = (self.scale * torch.einsum("bhc,kehc->bkhe", query, key)).softmax(dim=-1)
        mixed: Tensor = self.output(torch.einsum("bkhe,kehc->bkhc", shares, value).flatten(-2))
        return mixed


class PromptPool(MethodServer):
    """The last context of every client that took part; each gets the others' most similar ones.

    Parameters
    ----------
    count : int
        Most contexts sent to a client.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def download(self, client: str) -> dict[str, Tensor]:
        """Return the contexts closest to the client's own in L2; none before its first update."""
        if client not in self.state:
            return {}
        own = self.state[client].double()
        names = sorted(name for name in self.state if name != client)
        far = [torch.linalg.vector_norm(self.state[name].double() - own) for name in names]
        distances = torch.stack(far).cpu().tolist() if far else []
        nearest = sorted(zip(distances, names, strict=True))[: self.count]
        return {f"experts.{i}": self.state[name] for i, (_, name) in enumerate(nearest)}

    def receive(self, client: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep the client's context, replacing its last one."""
        self.state[client] = tensors["context"]
