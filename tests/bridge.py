"""From the package's objects to the reference's: names, dtypes, batches; nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.client import ClientData
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fedmvp import FedMVP
from fedmvp.methods.fedmvp_texts import bank_features
from fedmvp.seeds import numpy_generator, torch_generator
from tests.reference.encoders import Sizes
from tests.reference.federated import Batch
from tests.reference.fedmvp import Classes, Clip

#: The package's names → the official code's; q, k and v are one tensor there.
_NAMES = {
    "promptformer.attention.output.": "crossattn.cross_attend_blocks.0.fn.out_proj.",
    "promptformer.attention.norm.": "crossattn.cross_attend_blocks.0.norm.",
    "promptformer.attention.norm_context.": "crossattn.cross_attend_blocks.0.norm_context.",
    "promptformer.feed_forward.norm.": "crossattn.cross_attend_blocks.1.net.0.",
    "promptformer.feed_forward.expand.": "crossattn.cross_attend_blocks.1.net.1.",
    "promptformer.feed_forward.contract.": "crossattn.cross_attend_blocks.1.net.3.",
    "promptformer.bank.": "linear.",
}
_FUSED = "crossattn.cross_attend_blocks.0.fn.in_proj_"


def official_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the package's FedMVP by official names, float64 copies."""
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        value = tensor.detach().double().clone()
        if name == "deep":  # ours: the official code has no such tensor
            state[name] = value
        elif name.startswith("promptformer.lora."):
            path, letter = name.rsplit(".", 1)[1].split("_")
            state[f"cross_loraparams.cross_{path}{letter.upper()}"] = value
        elif name.startswith("promptformer.attention.query_"):
            kind = name.rsplit("_", 1)[1]
            parts = [
                tensors[f"promptformer.attention.{p}_{kind}"] for p in ("query", "key", "value")
            ]
            state[_FUSED + kind] = torch.cat(parts).detach().double()
        elif not name.startswith(("promptformer.attention.key_", "promptformer.attention.value_")):
            prefix = name[: name.rindex(".") + 1]
            state[_NAMES[prefix] + name.removeprefix(prefix)] = value
    return state


def reference_clip(backbone: Backbone) -> Clip:
    """Return the frozen model in float64."""
    vision, text = backbone.spec.vision, backbone.spec.text
    weights = {name: tensor.double() for name, tensor in backbone.state_dict().items()}
    sizes = Sizes(
        patch=vision.patch_size,
        layers=vision.layers,
        heads=vision.heads,
        text_layers=text.layers,
        text_heads=text.heads,
        quick=backbone.spec.quick_gelu,
        pre_norm=vision.pre_norm,
    )
    return Clip(weights, sizes)


def reference_classes(classes: ClassSet, method: FedMVP) -> Classes:
    """Return the bank and the sentences of each class in float64."""
    flags = method.flags
    bank = bank_features(classes, flags.attr_bank, flags.truncate, method.seed).values
    sentences = classes.features("sentences")
    parts = [sentences.values[sentences.index == k].double() for k in range(len(classes))]
    return Classes(bank.double(), parts)


def reference_batch(data: ClientData, rows: Sequence[int], flips: Sequence[bool]) -> Batch:
    """Return some images of a client in float64."""
    images = data.backbone.normalise(data.images[list(rows)]).double()
    return Batch(images, [int(data.labels[row]) for row in rows], list(flips))


def batches_of(
    data: ClientData,
    client: str,
    round_index: int,
    federation: FederationParams,
    seed: int,
    *,
    one_flip: bool,
    last_only: bool,
) -> list[list[Batch]]:
    """Return the batches and mirrorings a client draws in a round, epoch by epoch.

    The draws are inputs of the reference: the same generators, read in the same order.
    """
    epochs = []
    for epoch in range(federation.local_epochs):
        order = numpy_generator(seed, "batches", client, round_index, epoch).permutation(len(data))
        views = torch_generator(seed, "views", client, round_index, epoch)
        parts = [
            order[start : start + federation.batch_size].tolist()
            for start in range(0, len(order), federation.batch_size)
        ]
        batches = []
        for rows in parts[-1:] if last_only else parts:
            draws = torch.rand(1 if one_flip else len(rows), generator=views) < 0.5
            batches.append(reference_batch(data, rows, draws.expand(len(rows)).tolist()))
        epochs.append(batches)
    return epochs
