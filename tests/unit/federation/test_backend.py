"""The in-process backend holds the data of the clients it trained last, and no more."""

from __future__ import annotations

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientData, ClientUpdate
from fedmvp.methods.classes import TextBank
from tests.toys import NAMES, federation, fedmvp, toy_client

pytestmark = pytest.mark.usefixtures("words")


def test_data_let_go_comes_back_the_same(
    tiny: Backbone, bank: TextBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(client: str) -> ClientData:
        loaded.append(client)
        return toy_client(bank, NAMES[:2], per_class=1, seed=ord(client))

    def round_of(clients: str) -> list[ClientUpdate]:
        method = fedmvp(tiny)
        start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
        backend = InProcessBackend(method, load, "abc", federation(), 1)
        updates = list(backend.run(start, list(clients), 0, 0.1))
        return [update for update in updates if isinstance(update, ClientUpdate)]

    plain = round_of("abacab")
    assert loaded == ["a", "b", "c"]
    loaded.clear()
    monkeypatch.setattr("fedmvp.federation.backend._HELD", 2)
    again = round_of("abacab")
    # c takes the place of b, which was used before a was; then b that of c.
    assert loaded == ["a", "b", "c", "b"]
    for one, other in zip(plain, again, strict=True):
        assert (one.client, one.metrics) == (other.client, other.metrics)
        assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
