"""FedCoCoOp: a context shifted by each image's feature (docs/method.md#fedcocoop).

Every (image, class) pair has its own text, so B·K texts are encoded, in chunks that fit a memory
budget. With gradient, each chunk is computed again in the backward pass, so only a logit per pair
is kept.

Shapes: B images, K classes, P pairs, n context tokens, N tokens of a text, d text width, e joint
embedding.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.cross_attention import Linear
from fedmvp.methods.frozen_image import FrozenImageMethod
from fedmvp.methods.text_prompts import ContextParams, PromptTexts, initial_context

__all__ = ["FedCoCoOp", "FedCoCoOpParams", "MetaNet"]


class FedCoCoOpParams(ContextParams):
    """``methods.fedcocoop`` of params.yaml."""

    reduction: int = Field(
        default=16, ge=1, description="Ratio of the joint width to the meta-net's."
    )
    memory_budget_mib: Float = Field(
        default=1024.0, gt=0, description="Memory of one pass of (image, class) texts, MiB."
    )


class MetaNet(nn.Module):
    """π: image feature → shift of every context token; linear, ReLU, linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.reduce = Linear(inputs, hidden, generator)
        self.expand = Linear(hidden, outputs, generator)

    def forward(self, features: Tensor) -> Tensor:
        """[B, e] → [B, d]."""
        return self.expand(self.reduce(features).relu())  # type: ignore[no-any-return]


class FedCoCoOp(FrozenImageMethod):
    """logit_bk = s · cos(v_b, t_k(ctx + π(v_b))); context and meta-net are learned and sent."""

    Params: ClassVar[type[MethodParams]] = FedCoCoOpParams
    one_text: ClassVar[bool] = False
    params: FedCoCoOpParams

    def __init__(self, backbone: Backbone, params: FedCoCoOpParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        spec = backbone.spec
        hidden = spec.embed_dim // params.reduction
        if hidden == 0:
            raise ValueError(
                f"reduction {params.reduction} is more than the joint width {spec.embed_dim}"
            )
        self.texts = PromptTexts(backbone, params.n_context, opening=params.context_init)
        self.context = initial_context(backbone, params, self.generator("context"))
        self.meta_net = MetaNet(spec.embed_dim, hidden, spec.text.width, self.generator("meta_net"))

    def scores(self, features: Tensor, classes: ClassSet) -> Tensor:
        """Return s · cos(v_b, t_k(v_b)), [B, e] → [B, K]."""
        ids, end = self.texts.tokens(classes)
        shifts = self.meta_net(features)
        pairs = torch.arange(len(features) * len(classes), device=features.device)
        size = self.chunk_size(ids.shape[1])
        compute = self._cosines
        if torch.is_grad_enabled() and len(pairs) > size:
            compute = partial(checkpoint, compute, use_reentrant=False, preserve_rng_state=False)
        cosines = [
            compute(chunk, ids, end, shifts, self.context, features)
            for chunk in torch.split(pairs, size)
        ]
        return self.backbone.scale * torch.cat(cosines).view(len(features), len(classes))

    def _cosines(
        self,
        pairs: Tensor,
        ids: Tensor,
        end: Tensor,
        shifts: Tensor,
        context: Tensor,
        features: Tensor,
    ) -> Tensor:
        """Return cos(v_b, t_k(v_b)) of some pairs, numbered b·K + k, [P]."""
        image, label = pairs // len(ids), pairs % len(ids)
        words = context + shifts[image, None]
        texts = self.texts.features(ids[label], end[label], words)
        return (features[image] * texts).sum(dim=-1)

    def chunk_size(self, length: int) -> int:
        """Return how many texts of `length` tokens fit the memory budget in one pass.

        The estimate counts numbers per token. For the backward pass, each block keeps the inputs of
        its two norms, query, key, value and the attention output, the activation's factors, and a
        row of attention weights per head; in addition, one block's intermediate results are in
        memory. Without gradient, nothing is kept.
        """
        text = self.backbone.spec.text
        kept = 6 * text.width + 2 * text.mlp_width + text.heads * length
        alive = 8 * text.width + 4 * text.mlp_width + 2 * text.heads * length
        blocks = text.layers if torch.is_grad_enabled() else 0
        bytes_per_text = 4 * length * (blocks * kept + alive)
        return max(1, int(self.params.memory_budget_mib * 2**20 / bytes_per_text))
