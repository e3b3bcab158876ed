"""Inputs for measurements: a tower with random weights, random images and random text features.

Time does not depend on the values, so no weights, images or language model are needed.

Shapes: B images, K classes, e joint embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.clip.spec import BackboneSpec
from fedmvp.federation.client import ClientData
from fedmvp.methods.classes import RaggedFeatures, TextBank
from fedmvp.seeds import numpy_generator, torch_generator
from fedmvp.shortcuts import Shortcuts

__all__ = ["Scene", "build_scene", "random_backbone"]

_WORDS = 16  # tokens of a text, start and end among them: those of an attribute sentence


def random_backbone(
    spec: BackboneSpec,
    *,
    precision: str,
    device: torch.device,
    shortcuts: Shortcuts,
    linear: str = "matmul",
) -> Backbone:
    """Return a tower of these sizes with small random weights."""
    backbone = Backbone(spec, precision=precision, shortcuts=shortcuts, linear=linear)
    generator = torch_generator(0, "bench/weights")
    with torch.no_grad():
        for name, tensor in backbone.named_parameters():
            tensor.normal_(0.0, 0.02, generator=generator)
            if "ln_" in name and name.endswith("weight"):
                tensor.fill_(1.0)
        backbone.logit_scale.fill_(4.6)
    backbone.round_weights()
    return backbone.to(device)


class RandomTexts(TextBank):
    """Texts of random token ids.

    Parameters
    ----------
    every_time : bool
        Encode them whenever they are asked for, all L tokens of each: the naive way.
    """

    def __init__(
        self, backbone: Backbone, classes: int, attributes: int, *, every_time: bool = False
    ) -> None:
        names = [f"class {k}" for k in range(classes)]
        texts = {name: [f"attribute {j}" for j in range(attributes)] for name in names}
        super().__init__(backbone, "bench", names, "a photo of a {}.", texts, texts)
        self.every_time = every_time

    def ids(self, kind: str) -> Tensor:
        """Return token ids of the texts of a kind, [T, L]."""
        count = sum(len(part) for part in self.texts(kind))
        text = self.backbone.spec.text
        draw = numpy_generator(0, "bench/ids", kind)
        ids = np.zeros((count, text.context_length), dtype=np.int64)
        length = min(_WORDS, text.context_length)
        ids[:, :length] = draw.integers(1, text.vocabulary - 2, (count, length))
        ids[:, 0], ids[:, length - 1] = text.vocabulary - 2, text.vocabulary - 1
        return torch.from_numpy(ids).to(self.backbone.device)

    def features(self, kind: str) -> RaggedFeatures:
        """Return random unit vectors, or what the text tower makes of the ids."""
        if kind in self._features:
            return self._features[kind]
        counts = torch.tensor([len(part) for part in self.texts(kind)])
        index = torch.repeat_interleave(torch.arange(len(counts)), counts)
        index = index.to(self.backbone.device)
        if self.every_time:
            return RaggedFeatures(self._encoded(kind), index, len(counts))
        shape = int(counts.sum()), self.backbone.spec.embed_dim
        values = torch.randn(*shape, generator=torch_generator(0, "bench/texts", kind))
        values = F.normalize(values, dim=-1).to(self.backbone.device)
        self._features[kind] = RaggedFeatures(values, index, len(counts))
        return self._features[kind]

    @torch.no_grad()
    def _encoded(self, kind: str) -> Tensor:
        ids = self.ids(kind)
        with self.backbone.autocast():
            features = self.backbone.text(self.backbone.text.embed(ids), ids.argmax(dim=-1))
        return F.normalize(features.float(), dim=-1)


@dataclass(frozen=True)
class Scene:
    """A tower and the data of one client with B images of K classes."""

    backbone: Backbone
    texts: RandomTexts
    data: ClientData


def build_scene(
    backbone: Backbone,
    *,
    classes: int,
    attributes: int,
    batch: int,
    naive: bool = False,
) -> Scene:
    """Return images and texts of random values for a tower; `naive` re-encodes texts."""
    size = backbone.spec.vision.image_size
    draw = numpy_generator(0, "bench/images")
    images = draw.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    texts = RandomTexts(backbone, classes, attributes, every_time=naive)
    data = ClientData(backbone, images, np.arange(batch) % classes, texts.select(texts.names))
    return Scene(backbone, texts, data)
