"""FedVPT, shallow or deep: constant visual prompts (docs/method.md#fedvpt).

The shallow prompts are inserted where FedMVP's are, so FedVPT is FedMVP with prompts that depend on
neither the image nor the classes.

Shapes: B images, K classes, m prompts, D prompted blocks, d vision width, e joint embedding.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import Template, template_features
from fedmvp.methods.text_prompts import gaussian

__all__ = ["FedVPT", "FedVPTDeep", "FedVPTDeepParams", "FedVPTParams"]


class FedVPTParams(MethodParams):
    """``methods.fedvpt`` of params.yaml."""

    n_prompts: int = Field(default=4, ge=1, le=1024, description="m, visual prompts per block.")
    depth: int | None = Field(
        default=1, ge=1, description="D, blocks with their own prompts; null: all."
    )
    init: Literal["normal", "vpt_uniform"] = Field(
        default="normal", description="N(0, 0.02²), or VPT's ±√(6 / (3·patch² + d))."
    )
    template: Template | None = Field(
        default="a photo of a {}.", description="Template of class texts; null: the dataset's."
    )


class FedVPT(Method):
    """v = E_v(image, P); before block i the last m tokens become P^(i). Learned with CE, sent."""

    Params: ClassVar[type[MethodParams]] = FedVPTParams
    params: FedVPTParams

    def __init__(self, backbone: Backbone, params: FedVPTParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        vision = backbone.spec.vision
        depth = vision.layers if params.depth is None else params.depth
        if depth > vision.layers:
            raise ValueError(f"depth {depth} is more than the image tower's {vision.layers} blocks")
        shape = depth, params.n_prompts, vision.width
        generator = self.generator("prompts")
        if params.init == "normal":
            self.prompt = gaussian(*shape, generator=generator)
        else:
            bound = math.sqrt(6 / (3 * vision.patch_size**2 + vision.width))
            self.prompt = nn.Parameter(
                torch.empty(shape).uniform_(-bound, bound, generator=generator)
            )

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return s · cos(v, t_k), [B, 3, S, S] → [B, K]."""
        tower = self.backbone.vision
        deep = {block: self.prompt[block][None] for block in range(1, len(self.prompt))}
        with self.backbone.autocast():
            features = tower(tower.embed(images), self.prompt[:1], deep=deep)
        texts = self.head.texts(template_features(classes, self.params.template), classes)
        return self.backbone.scale * F.normalize(features.float(), dim=-1) @ texts.T


class FedVPTDeepParams(FedVPTParams):
    """``methods.fedvpt_deep`` of params.yaml."""

    depth: int | None = Field(
        default=None, ge=1, description="D, blocks with their own prompts; null: all."
    )


class FedVPTDeep(FedVPT):
    """FedVPT with prompts in all blocks unless `depth` is given."""

    Params: ClassVar[type[MethodParams]] = FedVPTDeepParams
