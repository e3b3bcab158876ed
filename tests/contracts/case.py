"""A method and the toys its contract is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.client import ClientData, ClientState, ClientUpdate, train_client
from fedmvp.methods.base import Method, RoundLosses
from fedmvp.methods.build import build_method, method_params, resolved_federation
from fedmvp.methods.classes import TextBank
from tests.toys import NAMES, federation, shake, toy_bank, toy_client

SEEN, OTHER = NAMES[:4], NAMES[4:7]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A method and the toys it is tried on."""

    name: str
    section: Mapping[str, Any]
    backbone: Backbone
    banks: dict[str, TextBank] = field(default_factory=dict)

    def create(self, seed: int = 1, *, shaken: bool = False) -> Method:
        """Return the method with its initial tensors, or with all of them moved."""
        params = method_params(self.name, self.section)
        method = build_method(self.name, self.backbone, params, seed)
        if shaken:
            shake(method)
        return method

    @cached_property
    def bank(self) -> TextBank:
        return toy_bank(self.backbone)

    @cached_property
    def federation(self) -> FederationParams:
        params = method_params(self.name, self.section)
        return resolved_federation(self.name, params, federation(local_epochs=2))

    @cached_property
    def data(self) -> ClientData:
        return toy_client(self.bank, SEEN, per_class=2)

    @property
    def images(self) -> Tensor:
        """Return normalised images [8, 3, S, S] of the seen classes."""
        return self.backbone.normalise(self.data.images)

    def phases(self, method: Method) -> list[str]:
        """Return the phases a client goes through when its loss is as low as can be."""
        found = [method.first_phase]
        while (later := method.next_phase(found[-1], RoundLosses(-1e9, -1e9))) != found[-1]:
            found.append(later)
        assert set(found) <= set(method.phases), "phases names all that clients come to"
        return found

    def train(
        self, method: Method, phase: str, start: Tensors | None = None, round_index: int = 0
    ) -> ClientUpdate:
        """Return the update of one client in a phase."""
        tensors = start if start is not None else copies(method)
        return train_client(
            method,
            "client",
            self.data,
            tensors,
            ClientState(phase),
            self.federation,
            learning_rate=0.01,
            seed=1,
            round_index=round_index,
        )

    @torch.no_grad()
    def scores(self, method: Method, names: tuple[str, ...]) -> Tensor:
        """Return the evaluating server's logits of the images."""
        method.enter(None)
        return method.logits(self.images, self.bank.select(names))


def copies(method: Method) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in method.tensors().items()}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)
