"""A toy dataset in memory: classes with ragged attributes, images, banks, clients.

Class k has attributes(k) texts: 1, 3, 10, 2, 4, 5, 2, 3, so no code can take their number for
granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.client import ClientData
from fedmvp.methods.base import Method
from fedmvp.methods.classes import ClassSet, TextBank
from fedmvp.methods.fedmvp import FedMVP, FedMVPParams

NAMES = (
    "red_fox",
    "teapot",
    "snow owl",
    "kite",
    "birch tree",
    "tram",
    "violin",
    "sea star",
)
COUNTS = (1, 3, 10, 2, 4, 5, 2, 3)
PARTS = ("tail", "spout", "wing", "string", "bark", "wheel", "bow", "arm")
LOOKS = ("long", "pale", "round", "striped", "thin", "dark", "glossy", "curved", "small", "rough")

FEDERATION: dict[str, Any] = {
    "rounds": 2,
    "participation": 1.0,
    "local_epochs": 1,
    "batch_size": 4,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "schedule": "cosine",
    "client_state": "fresh",
    "weighting": "uniform",
}


def federation(**changes: Any) -> FederationParams:
    """Return the toy federation section with some entries changed."""
    return FederationParams(**{**FEDERATION, **changes})


def attributes_of(names: Sequence[str] = NAMES) -> dict[str, tuple[str, ...]]:
    """Return the raw attributes of the toy classes, any number per class."""
    return {
        name: tuple(f"{LOOKS[j]} {PARTS[k % len(PARTS)]}" for j in range(COUNTS[k % len(COUNTS)]))
        for k, name in enumerate(names)
    }


def toy_bank(backbone: Backbone, dataset: str = "toys", names: Sequence[str] = NAMES) -> TextBank:
    """Return the texts of the toy classes."""
    attributes = attributes_of(names)
    sentences = {
        name: [f"a photo of a {name.replace('_', ' ')}, which has {text}" for text in texts]
        for name, texts in attributes.items()
    }
    return TextBank(backbone, dataset, names, "a photo of a {}.", attributes, sentences)


def toy_images(backbone: Backbone, labels: Sequence[int], seed: int = 0) -> NDArray[np.uint8]:
    """Return uint8 images [N, S, S, 3]: a colour and a stripe of their label, and noise."""
    size = backbone.spec.vision.image_size
    draw = np.random.default_rng([seed, size])
    images = draw.integers(0, 120, (len(labels), size, size, 3))
    for image, label in zip(images, labels, strict=True):
        image += np.array([17 * label % 90, 41 * label % 80, 67 * label % 70])
        image[label * size // 9 :: size // 4] += 40
    return images.clip(0, 255).astype(np.uint8)


def toy_client(
    bank: TextBank, names: Sequence[str], per_class: int = 3, seed: int = 0
) -> ClientData:
    """Return a client's data over some classes of `bank`."""
    labels = [label for label in range(len(names)) for _ in range(per_class)]
    images = toy_images(bank.backbone, [bank.names.index(names[label]) for label in labels], seed)
    return ClientData(bank.backbone, images, labels, bank.select(names))


@dataclass(frozen=True)
class ToyLoader:
    """Stands for `LoadImages`: images named ``<class> <number>``."""

    backbone: Backbone

    def __call__(
        self, dataset: str, ids: Sequence[str], classes: Sequence[str]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        names = [image.rsplit(" ", 1)[0] for image in ids]
        images = toy_images(self.backbone, [NAMES.index(name) for name in names])
        return images, np.array([list(classes).index(name) for name in names])

    def key(self, dataset: str, ids: Sequence[str]) -> str:
        return " ".join(ids)


@dataclass
class ToyBanks:
    """Stands for `TextBanks`: banks by dataset, made for the test."""

    backbone: Backbone
    banks: Mapping[str, TextBank] = field(default_factory=dict)

    def select(self, dataset: str, domain: str | None, names: Sequence[str]) -> ClassSet:
        return self.banks[dataset].select(names)


def fedmvp(backbone: Backbone, *, shaken: bool = True, **params: Any) -> FedMVP:
    """Return FedMVP; `shaken` moves every tensor, so that no zero or one hides a mistake."""
    method = FedMVP(backbone, FedMVPParams(**params), seed=1)
    if shaken:
        shake(method)
    return method


@torch.no_grad()
def shake(method: Method, size: float = 0.02) -> None:
    """Add fixed noise to every learned tensor."""
    generator = torch.Generator().manual_seed(3)
    for tensor in method.tensors().values():
        tensor.add_(size * torch.randn(tensor.shape, generator=generator))
