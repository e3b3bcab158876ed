"""One client's local training: the tensors it downloads, its batches, the update it sends.

Shapes: B images of a batch, N images of a client, V views of an image, e joint embedding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.errors import ClientFailure
from fedmvp.federation.meter import Meter
from fedmvp.federation.optimizers import OPTIMIZERS, Step
from fedmvp.federation.personal import forget_frozen, rearrange, starting_tensors
from fedmvp.interruption import raise_if_stopped
from fedmvp.methods.base import Batch, Method
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.heads import Head, SoftmaxHead
from fedmvp.seeds import numpy_generator, torch_generator

__all__ = ["ClientData", "ClientState", "ClientUpdate", "load_tensors", "train_client"]


class ClientData:
    """The training images of one client, and the frozen features computed once for them.

    Parameters
    ----------
    backbone : Backbone
    images : ndarray of shape [N, gS, gS, 3], uint8
        May be memory-mapped; g is the head's grid.
    labels : ndarray of int, shape [N] or [N, K]
        Positions in `classes`; with many labels, 1 (shown), 0 (not shown) or -1 (unknown).
    classes : ClassSet
        The client's own classes.
    chunk : int
        Images per forward pass of the frozen tower.
    key : str, optional
        Hash of what determines the images' pixels; with it, frozen features are kept on disk and
        shared by all seeds.
    head : Head, optional
        Divides an image into the views the backbone sees; by default one view, the whole image.
        Frozen features have a row per view.
    """

    def __init__(
        self,
        backbone: Backbone,
        images: np.ndarray,
        labels: np.ndarray,
        classes: ClassSet,
        chunk: int = 128,
        key: str | None = None,
        head: Head | None = None,
    ) -> None:
        self.backbone = backbone
        self.head = head or SoftmaxHead()
        self.images = images
        self.labels = torch.as_tensor(labels, dtype=torch.long).to(backbone.device)
        self.classes = classes
        self.chunk = chunk
        self.key = key
        self._frozen: dict[bool, Tensor] = {}

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: np.ndarray, generator: torch.Generator) -> Batch:
        """Return the images of `rows` as a training batch."""
        index = torch.from_numpy(rows).to(self.backbone.device)
        images = self.head.views(self.backbone.normalise(self.images[rows]))
        seen = self.head.rows(index)

        def frozen(flips: Tensor) -> Tensor:
            # Where nothing is mirrored, one entry serves for all: views may be tokens of an image.
            chosen = flips if bool(flips.any()) else flips[:1]
            mask = chosen.to(index.device)[:, None]
            if not self.backbone.shortcuts.frozen_views:
                views = torch.where(mask[:, :, None, None], images.flip(-1), images)
                return self.backbone.frozen_features([views])
            return torch.where(mask, self._features(True)[seen], self._features(False)[seen])

        return Batch(images, self.labels[index], frozen, generator)

    def _features(self, flipped: bool) -> Tensor:
        """Return frozen features of all images, flipped or not, [N·V, e]; computed once."""
        if flipped not in self._frozen:
            self._frozen[flipped] = self._computed(flipped)
        return self._frozen[flipped]

    def _computed(self, flipped: bool) -> Tensor:
        if self.key is None:
            return self.backbone.frozen_features(self._views(flipped))
        key = {"images": self.key, "flipped": flipped, "batch": self.chunk, **self.head.identity}
        features = self.backbone.cached(
            key, lambda: self.backbone.frozen_features(self._views(flipped)).cpu()
        )
        return features.to(self.backbone.device)

    def _views(self, flipped: bool) -> Iterator[Tensor]:
        for start in range(0, len(self), self.chunk):
            pixels = self.backbone.normalise(self.images[start : start + self.chunk])
            images = self.head.views(pixels)
            yield images.flip(-1) if flipped else images


@dataclass
class ClientState:
    """What a client keeps from round to round.

    Parameters
    ----------
    phase : str
    momentum : dict of str to Tensor
        Kept only under ``client_state: persistent``.
    personal : dict of str to Tensor
        The client's own tensors (personalised methods; `Method.kept`).
    """

    phase: str
    momentum: dict[str, Tensor] = field(default_factory=dict)
    personal: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ClientUpdate:
    """What one client sends after a round, and what is logged about it.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Copies of the communicated tensors after training, fp32.
    images : int
        n_i, its number of training images.
    phase : str
        The phase it trained in.
    metrics : mapping of str to float
        Means over all images it trained on in the round.
    """

    client: str
    tensors: Mapping[str, Tensor]
    images: int
    phase: str
    metrics: Mapping[str, float]
    bytes_down: int

    @property
    def bytes_up(self) -> int:
        """Size in bytes of the tensors as sent, in fp32."""
        return sum(tensor.numel() * 4 for tensor in self.tensors.values())


@torch.no_grad()
def load_tensors(method: Method, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into the method's parameters of the same names."""
    own = method.tensors()
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def train_client(
    method: Method,
    client: str,
    data: ClientData,
    downloaded: Mapping[str, Tensor],
    state: ClientState,
    federation: FederationParams,
    *,
    learning_rate: float,
    seed: int,
    round_index: int,
    extra: Mapping[str, Tensor] | None = None,
) -> ClientUpdate:
    """Train `method` on one client, starting at the downloaded tensors.

    `method` is a workspace shared by all clients: it is overwritten. `state` is changed in place.

    Parameters
    ----------
    extra : mapping of str to Tensor, optional
        What is sent to this client alone (`MethodServer.download`).

    Raises
    ------
    ClientFailure
        When the loss is not finite.
    """
    phase, extra = state.phase, extra or {}
    load_tensors(method, starting_tensors(method, phase, downloaded, state.personal, extra))
    method.enter(phase)
    if federation.client_state == "fresh":
        state.momentum = {}
    names = method.trainable(phase)
    own = method.tensors()
    # FedProx pulls towards the global model, of which personal tensors are no part.
    shared = [name for name in names if name in method.communicated(phase)]
    anchor = {name: own[name].detach().clone() for name in shared} if _proximal(federation) else {}
    optimizer = partial(
        OPTIMIZERS[federation.client_optimizer], fused=method.backbone.shortcuts.fused_steps
    )
    meter = Meter()
    for epoch in range(federation.local_epochs):
        order = np.arange(len(data))
        if federation.shuffle:
            draw = numpy_generator(seed, "batches", client, round_index, epoch)
            order = draw.permutation(len(data))
        views = torch_generator(seed, "views", client, round_index, epoch)
        batches = [
            order[i : i + federation.batch_size]
            for i in range(0, len(order), federation.batch_size)
        ]
        for rows in batches[-1:] if method.last_batch_only else batches:
            raise_if_stopped()
            batch = data.batch(rows, views)
            loss = method.loss(batch, data.classes)
            quality = method.head.quality(loss.logits, batch.labels)
            value = meter.add(loss, quality, len(batch.labels), epoch)
            if not math.isfinite(value):
                raise ClientFailure(
                    "loss is not finite",
                    where=f"client {client}, round {round_index}",
                    value=value,
                    hint="lower federation.learning_rate",
                )
            step = names
            if method.switch_before_step:
                later = method.next_phase(phase, meter.local())
                step = [name for name in names if name in method.trainable(later)]
            _optimizer_step(
                own,
                names,
                step,
                loss.total,
                state.momentum,
                anchor,
                federation,
                learning_rate,
                optimizer,
            )
    draws = torch_generator(seed, "places", client, round_index)
    rearrange(method, state.momentum, method.rearranged(downloaded, draws, round_index))
    state.phase = method.next_phase(phase, meter.local())
    if federation.client_state == "fresh":
        state.momentum = {}
    elif state.phase != phase:
        forget_frozen(state.momentum, method.trainable(state.phase))
    sent = {name: own[name].detach().clone() for name in method.communicated(phase)}
    state.personal |= {name: own[name].detach().clone() for name in method.kept(phase)}
    received = [*(downloaded[name] for name in method.downloaded(phase)), *extra.values()]
    down = sum(tensor.numel() * 4 for tensor in received)
    return ClientUpdate(client, sent, len(data), phase, meter.means(), down)


def _proximal(federation: FederationParams) -> bool:
    return federation.aggregation == "fedprox" and federation.proximal_weight > 0


def _optimizer_step(
    own: Mapping[str, torch.nn.Parameter],
    names: Sequence[str],
    step: Sequence[str],
    total: Tensor,
    momentum: dict[str, Tensor],
    anchor: Mapping[str, Tensor],
    federation: FederationParams,
    learning_rate: float,
    optimizer: Step,
) -> None:
    """Take one step on the tensors of `step`; FedProx adds mu (w - w_t) to the gradient."""
    parameters = [own[name] for name in names]
    gradients: Sequence[Tensor | None] = torch.autograd.grad(total, parameters, allow_unused=True)
    chosen = {
        name: gradient
        for name, gradient in zip(names, gradients, strict=True)
        if gradient is not None and name in step
    }
    if not chosen:  # the client changed phase before this step
        return
    with torch.no_grad():
        for name in chosen.keys() & anchor.keys():
            chosen[name] = chosen[name] + federation.proximal_weight * (own[name] - anchor[name])
        optimizer(own, chosen, momentum, federation, learning_rate)
