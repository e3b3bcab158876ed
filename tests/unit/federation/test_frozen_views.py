"""The frozen features of a client's images and mirror images: right, and computed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.client import ClientState, train_client
from fedmvp.methods.classes import TextBank
from tests.toys import NAMES, federation, fedmvp, toy_client

pytestmark = pytest.mark.usefixtures("words")


def test_frozen_views_equal_direct_computation(tiny: Backbone, bank: TextBank) -> None:
    """The cache of both views, read with a mask, is what the tower gives for each image."""
    data = toy_client(bank, NAMES[:3], per_class=2)
    rows = np.array([4, 0, 3])
    batch = data.batch(rows, torch.Generator())
    flips = torch.tensor([True, False, True])
    seen = torch.stack(
        [image.flip(-1) if flip else image for image, flip in zip(batch.images, flips, strict=True)]
    )
    direct = tiny.frozen_features([seen])
    assert (batch.frozen(flips) - direct).abs().max() <= 1e-6
    assert not torch.allclose(batch.frozen(flips)[0], batch.frozen(~flips)[0], atol=1e-4)
    assert batch.labels.tolist() == [2, 0, 1]


def test_frozen_views_are_computed_once(
    tiny: Backbone, bank: TextBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = Backbone.frozen_features

    def counted(self: Backbone, images: Any) -> Tensor:
        calls.append(1)
        return original(self, images)

    monkeypatch.setattr(Backbone, "frozen_features", counted)
    client = toy_client(bank, NAMES[:2], per_class=3)
    method = fedmvp(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.named_parameters()}
    section = federation(local_epochs=3, batch_size=2)
    train_client(
        method,
        "a",
        client,
        start,
        ClientState("promptformer"),
        section,
        learning_rate=0.05,
        seed=1,
        round_index=0,
    )
    assert len(calls) == 2  # as they are, and mirrored
