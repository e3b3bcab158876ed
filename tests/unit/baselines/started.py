"""Methods as they start, and the gradients of their loss: what the tests of options share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import Batch, Method
from fedmvp.methods.build import build_method, method_params
from tests.toys import NAMES, toy_bank, toy_client

TOLERANCE = 1e-5


def create(name: str, backbone: Backbone, **section: Any) -> Method:
    return build_method(name, backbone, method_params(name, section), seed=1)


def gradients(method: Method, backbone: Backbone) -> tuple[Tensor, list[Tensor]]:
    """Return the loss of a batch of four classes and its gradients."""
    data = toy_client(toy_bank(backbone), NAMES[:4], per_class=1)
    images = backbone.normalise(data.images)
    features = backbone.frozen_features([images])
    batch = Batch(images, data.labels, lambda flips: features, torch.Generator())
    method.enter(method.first_phase)
    total = method.loss(batch, data.classes).total
    tensors = method.tensors()
    trained = [tensors[key] for key in method.trainable(method.first_phase)]
    return total, list(torch.autograd.grad(total, trained))
