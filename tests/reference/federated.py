"""One client update, one server round, several rounds: by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tests.reference.fedmvp import Classes, Clip, Recipe, losses

State = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Images [B, 3, S, S], their labels, and which are mirrored for the consistency loss."""

    images: Tensor
    labels: Sequence[int]
    flips: Sequence[bool]


@dataclass
class Client:
    """What a client keeps."""

    classes: Classes
    lora: bool = False
    momentum: State = field(default_factory=dict)


@dataclass(frozen=True)
class Optimiser:
    """SGD's numbers."""

    learning_rate: float
    momentum: float
    weight_decay: float


def is_lora(name: str) -> bool:
    return name.startswith("cross_loraparams.")


def trained_names(names: Sequence[str], recipe: Recipe, *, lora: bool) -> list[str]:
    """Phase 1 trains all but LoRA; phase 2 LoRA, and in the official code `linear` too."""
    if not lora:
        return [name for name in names if not is_lora(name)]
    linear = [n for n in names if n.startswith("linear.")] if recipe.lora_trains_linear else []
    return [name for name in names if is_lora(name)] + linear


def sgd_step(
    state: State, slopes: Mapping[str, Tensor], buffers: State, optimiser: Optimiser
) -> None:
    """g ← g + λ w; u ← μ u + g (u = g at first); w ← w − η u."""
    for name, slope in slopes.items():
        step = slope + optimiser.weight_decay * state[name]
        if name in buffers:
            step = optimiser.momentum * buffers[name] + step
        buffers[name] = step
        state[name] = state[name] - optimiser.learning_rate * step


def client_update(
    received: Mapping[str, Tensor],
    client: Client,
    epochs: Sequence[Sequence[Batch]],
    recipe: Recipe,
    optimiser: Optimiser,
    clip: Clip,
) -> tuple[State, list[float]]:
    """Train one client; return its tensors and the total loss of every step.

    `client` goes on to its next phase; its momentum stays if the recipe keeps it.
    """
    state = {name: tensor.clone() for name, tensor in received.items()}
    buffers = client.momentum if recipe.keep_momentum else {}
    started_with_lora = client.lora
    totals: list[float] = []
    first_epoch: list[tuple[int, float]] = []
    for number, batches in enumerate(epochs):
        for batch in batches[-1:] if recipe.last_batch_only else batches:
            names = trained_names(list(state), recipe, lora=started_with_lora)
            leaves = {name: state[name].clone().requires_grad_() for name in names}
            loss = losses(
                batch.images,
                batch.labels,
                batch.flips,
                client.classes,
                {**state, **leaves},
                recipe,
                clip,
                lora=started_with_lora,
            ).total
            slopes = dict(zip(names, torch.autograd.grad(loss, list(leaves.values())), strict=True))
            totals.append(float(loss.detach()))
            if number == 0:
                first_epoch.append((len(batch.labels), totals[-1]))
            if recipe.switch_before_step and totals[-1] < recipe.sigma:
                # The cross-attention is frozen between forward and backward: only what the next
                # phase trains too takes this step.
                kept = trained_names(names, recipe, lora=True)
                slopes = {name: slope for name, slope in slopes.items() if name in kept}
            sgd_step(state, slopes, buffers, optimiser)
    mean = sum(count * loss for count, loss in first_epoch) / sum(c for c, _ in first_epoch)
    trigger = totals[-1] if recipe.trigger_on_last_batch else mean
    client.lora = client.lora or trigger < recipe.sigma
    if recipe.keep_momentum:
        client.momentum = buffers
    if recipe.send_everything:
        return state, totals
    sent = trained_names(list(state), recipe, lora=started_with_lora)
    return {name: state[name] for name in sent}, totals


def average(current: State, updates: Sequence[State], recipe: Recipe) -> State:
    """Average every tensor over the clients that sent it; the rest stays."""
    out = {}
    for name, old in current.items():
        sent = [update[name] for update in updates if name in update]
        if not sent:
            out[name] = old
        elif recipe.half_precision_mean:
            total = np.zeros(old.shape, dtype=np.float16)
            for tensor in sent:
                total = (total + tensor.numpy().astype(np.float16)).astype(np.float16)
            mean = (total / np.float16(len(sent))).astype(np.float16)
            out[name] = torch.from_numpy(mean.astype(np.float64))
        else:
            out[name] = sum(sent[1:], sent[0]) / len(sent)
    return out


def server_round(
    current: State,
    clients: Mapping[str, Client],
    data: Mapping[str, Sequence[Sequence[Batch]]],
    recipe: Recipe,
    optimiser: Optimiser,
    clip: Clip,
) -> tuple[State, dict[str, list[float]]]:
    """Train the round's clients in turn and average them."""
    updates, totals = [], {}
    for name in data:
        update, totals[name] = client_update(
            current, clients[name], data[name], recipe, optimiser, clip
        )
        updates.append(update)
    return average(current, updates, recipe), totals


def cosine(base: float, round_number: int, rounds: int) -> float:
    """Learning rate of round 1, 2, …: half a cosine, from base to almost 0."""
    return base * (1 + math.cos(math.pi * (round_number - 1) / rounds)) / 2
