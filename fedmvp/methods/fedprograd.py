"""FedProGrad: PromptFL whose steps do not work against zero-shot CLIP (docs/method.md#fedprograd).

Shapes: B images, K classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.config import Float
from fedmvp.methods.base import Batch, Loss, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import frozen_batch
from fedmvp.methods.promptfl import PromptFL, PromptFLParams

__all__ = ["FedProGrad", "FedProGradParams", "agreeing"]


class FedProGradParams(PromptFLParams):
    """``methods.fedprograd`` of params.yaml."""

    context_init: str | None = Field(
        default="a photo of a",
        description="Words whose embeddings are the initial context; those beyond n stay fixed. "
        "null: N(0, 0.02²).",
    )
    projection_weight: Float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="lambda, share of a contradicting component that is removed.",
    )
    temperature: Float = Field(default=1.0, gt=0, description="T of the zero-shot distillation.")


class FedProGrad(PromptFL):
    """Follows the gradient of CE without the part opposed to that of the zero-shot distillation."""

    Params: ClassVar[type[MethodParams]] = FedProGradParams
    many_labels: ClassVar[bool] = False
    params: FedProGradParams

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return a loss with the value of the cross-entropy and the projected gradient."""
        images, scale, params = frozen_batch(batch), self.backbone.scale, self.params
        logits = scale * images @ self.text_features(classes).T
        cross_entropy = F.cross_entropy(logits, batch.labels)
        zero_shot = scale * images @ classes.single("template").T
        general = params.temperature**2 * F.cross_entropy(
            logits / params.temperature, F.softmax(zero_shot / params.temperature, dim=1)
        )
        (own,) = torch.autograd.grad(cross_entropy, [self.context], retain_graph=True)
        (other,) = torch.autograd.grad(general, [self.context])
        step = agreeing(own, other, params.projection_weight)
        # The added term is zero, but its gradient is the projected one.
        total = cross_entropy.detach() + ((self.context - self.context.detach()) * step).sum()
        return Loss(
            total,
            logits.detach(),
            {"loss_ce": cross_entropy.detach(), "loss_con": general.detach()},
        )


def agreeing(own: Tensor, general: Tensor, weight: float) -> Tensor:
    """Return g_d - λ ⟨g_d, ĝ_g⟩ ĝ_g where ⟨g_d, g_g⟩ < 0, else g_d; ĝ_g = g_g / ‖g_g‖.

    Parameters
    ----------
    own, general : Tensor of equal shape
        g_d of the cross-entropy and g_g of the distillation.
    weight : float
        λ; with 1 the result is orthogonal to g_g.
    """
    against = (own.double() * general.double()).sum().clamp(max=0)
    square = general.double().square().sum()
    share = torch.where(square > 0, against / square, torch.zeros_like(square))
    return own - weight * share.to(own.dtype) * general
