"""FedMVP with ``start: patches``: untrained prompts are the pooled patches, and they learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.classes import TextBank
from tests.reference.fedmvp import bins
from tests.toys import NAMES, fedmvp, toy_client

pytestmark = pytest.mark.usefixtures("words")


@pytest.mark.parametrize("conditioning", ["multimodal", "image", "text"])
@pytest.mark.parametrize("prompts", [4, 3])
def test_untrained_from_patches(
    tiny: Backbone, bank: TextBank, conditioning: str, prompts: int
) -> None:
    """From `patches` the untrained prompts are the pooled patches, whatever conditions them."""
    method = fedmvp(
        tiny, shaken=False, start="patches", conditioning=conditioning, n_prompts=prompts
    )
    data = toy_client(bank, NAMES[:3], per_class=1)
    images = tiny.normalise(data.images)
    with torch.no_grad():
        embedded = tiny.vision.embed(images)
        pooled = torch.stack(
            [embedded[:, 1 + first : 1 + last].mean(dim=1) for first, last in bins(16, prompts)],
            dim=1,
        )
        features = F.normalize(tiny.vision(embedded, pooled), dim=-1)
        texts = data.classes.features("sentences").mean
        assert torch.allclose(method.prompts(images, data.classes), pooled, atol=1e-6)
        expected = tiny.scale * features @ texts.T
        assert torch.allclose(method.logits(images, data.classes), expected, atol=1e-4)
        # Other prompts give other logits: the test would see them.
        other = fedmvp(tiny, shaken=False, conditioning=conditioning, n_prompts=prompts)
        assert not torch.allclose(other.logits(images, data.classes), expected, atol=1e-2)


@pytest.mark.parametrize("conditioning", ["multimodal", "image", "text"])
def test_every_tensor_learns_from_patches(
    tiny: Backbone, bank: TextBank, conditioning: str
) -> None:
    """Zero output maps hold back the first step of what is below them, and no later one."""
    method = fedmvp(tiny, shaken=False, start="patches", conditioning=conditioning)
    method.enter("promptformer")
    data = toy_client(bank, NAMES[:3], per_class=2)
    tensors = {name: method.tensors()[name] for name in method.trainable("promptformer")}
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    for _ in range(2):
        batch = data.batch(np.arange(len(data)), torch.Generator().manual_seed(0))
        slopes = torch.autograd.grad(method.loss(batch, data.classes).total, list(tensors.values()))
        with torch.no_grad():
            for tensor, slope in zip(tensors.values(), slopes, strict=True):
                tensor -= 10 * slope
    # A key's bias moves all scores of a query alike, so softmax never sees it.
    fixed = {name for name in tensors if torch.equal(tensors[name], before[name])}
    assert fixed <= {"promptformer.attention.key_bias"}
