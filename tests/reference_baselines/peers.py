"""Logits of the personalised methods and their kin, one image and class at a time.

FedPGP, PromptFolio, FedPHA, pFedMoAP, FedMGP, FedPromptSRC, FedProGrad and FedPLOT with their
default numbers (docs/method.md#baselines). State and names as in `methods`.

Shapes: K classes, M image tokens, n context tokens, d text width, e joint embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tests.reference.arithmetic import linear, normalise, softmax
from tests.reference_baselines.methods import (
    Features,
    State,
    frozen,
    patches,
    prompted_texts,
    scores,
)
from tests.reference_baselines.towers import Model, image_tokens, text_feature

Names = Sequence[str]


def texts_of(context: Tensor, names: Names, model: Model) -> list[Tensor]:
    return prompted_texts({"context": context}, names, model)


def mean(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts[1:], parts[0]) / len(parts)


def own_context(state: State) -> Tensor:
    """σ + U V of FedPGP, entry by entry."""
    u, v = state["factor_u"], state["factor_v"]
    rows = [
        torch.stack([sum(u[i, k] * v[k, j] for k in range(len(v))) for j in range(v.shape[1])])
        for i in range(len(u))
    ]
    return state["context"] + torch.stack(rows)


def fedpgp(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    return scores(frozen(image, model), texts_of(own_context(state), names, model), model)


def promptfolio(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    shared = texts_of(state["global_context"], names, model)
    own = texts_of(state["local_context"], names, model)
    mixed = [0.6 * g + 0.4 * p for g, p in zip(shared, own, strict=True)]
    return scores(frozen(image, model), mixed, model)


def fedpha(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    return scores(frozen(image, model), texts_of(state["local_context"], names, model), model)


def pfedmoap(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    """With every expert there; the gate of eight heads, 128 wide at most."""
    v = frozen(image, model)
    width = min(128, len(v))
    stride, size = len(v) // width, width // 8

    def pool(x: Tensor) -> Tensor:
        return torch.stack([x[stride * i] for i in range(width)])

    def through(x: Tensor, path: str) -> Tensor:
        return linear(x, state[f"gate.{path}.weight"], state[f"gate.{path}.bias"])

    count = sum(name.startswith("experts.") for name in state)
    own = texts_of(state["context"], names, model)
    with torch.no_grad():
        foreign = [texts_of(state[f"experts.{j}"], names, model) for j in range(count)]
    query, logits = through(pool(v), "query"), []
    for k, text in enumerate(own):
        pooled = [pool(text), *(pool(texts[k]) for texts in foreign)]
        keys = [through(x, "key") for x in pooled]
        values = [through(x, "value") for x in pooled]
        heads = []
        for h in range(8):
            part = slice(h * size, (h + 1) * size)
            shares = softmax(torch.stack([10 * (query[part] * key[part]).sum() for key in keys]))
            heads.append(sum(s * value[part] for s, value in zip(shares, values, strict=True)))
        mixed = through(torch.cat([torch.as_tensor(head) for head in heads]), "output")
        own_part = 0.5 * model.scale * (v * text).sum()
        logits.append(own_part + model.scale * (pool(v) * mixed).sum())
    return torch.stack(logits)


def group(image: Tensor, state: State, names: Names, model: Model, g: int) -> list[Tensor]:
    """The image's feature and the texts' of one group of FedMGP."""
    texts = [
        text_feature(f"a photo of a {name}.", model, words=state[f"text.{g}"]) for name in names
    ]
    v = normalise(image_tokens(image, model, before_norm=state[f"vision.{g}"])[0])
    return [v, *texts]


def fedmgp(
    image: Tensor, state: State, names: Names, model: Model, groups: Sequence[int] = range(5)
) -> Tensor:
    parts = [group(image, state, names, model, g) for g in groups]
    return mean([scores(v, texts, model) for v, *texts in parts])


def prompted(
    image: Tensor, state: State, names: Names, model: Model
) -> tuple[Tensor, list[Tensor]]:
    """The image's and the texts' features of FedPromptSRC."""
    words = {block: state["deep"][block - 1] for block in range(1, len(state["deep"]) + 1)}
    texts = [
        text_feature(f"a photo of a {name}.", model, words=state["context"], replaced=words)
        for name in names
    ]
    visual = state["visual"]
    deep = {block: visual[block] for block in range(1, len(visual))}
    return normalise(image_tokens(image, model, before_norm=visual[0], replaced=deep)[0]), texts


def fedpromptsrc(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    v, texts = prompted(image, state, names, model)
    return scores(v, texts, model)


def fedprograd(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    texts = [text_feature(f"a photo of a {name}.", model, words=state["context"]) for name in names]
    return scores(frozen(image, model), texts, model)


def fedplot(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    tokens = patches(image, model)
    prompts = [texts_of(context, names, model) for context in state["contexts"]]
    logits = []
    for k in range(len(names)):
        similarity = torch.stack([torch.stack([(f * p[k]).sum() for p in prompts]) for f in tokens])
        plan = torch.tensor(balanced_transport(similarity.detach().tolist()))
        logits.append(model.scale * (plan * similarity).sum())
    return torch.stack(logits)


def balanced_transport(
    similarity: Sequence[Sequence[float]],
    epsilon: float = 0.1,
    iterations: int = 100,
    threshold: float = 1e-2,
) -> list[list[float]]:
    """Sinkhorn with the scaling vectors themselves: [M, N] → T [M, N]."""
    tokens, prompts = len(similarity), len(similarity[0])
    kernel = [[math.exp(-(1 - value) / epsilon) for value in row] for row in similarity]
    u, v = [1.0] * tokens, [1.0] * prompts
    for _ in range(iterations):
        u = [1 / tokens / sum(k * b for k, b in zip(row, v, strict=True)) for row in kernel]
        old = v
        v = [1 / prompts / sum(kernel[i][j] * u[i] for i in range(tokens)) for j in range(prompts)]
        if sum(abs(a - b) for a, b in zip(v, old, strict=True)) / prompts < threshold:
            break
    return [[u[i] * row[j] * v[j] for j in range(prompts)] for i, row in enumerate(kernel)]


LOGITS: dict[str, Features] = {
    "fedpgp": fedpgp,
    "promptfolio": promptfolio,
    "fedpha": fedpha,
    "pfedmoap": pfedmoap,
    "fedmgp": fedmgp,
    "fedpromptsrc": fedpromptsrc,
    "fedprograd": fedprograd,
    "fedplot": fedplot,
}
"""As a client computes them."""


def _plain(context: str) -> Features:
    def logits(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
        return scores(frozen(image, model), texts_of(state[context], names, model), model)

    return logits


def _shared_groups(image: Tensor, state: State, names: Names, model: Model) -> Tensor:
    return fedmgp(image, state, names, model, groups=(0, 1))


GLOBAL: dict[str, Features] = {
    "fedpgp": _plain("context"),
    "promptfolio": _plain("global_context"),
    "fedpha": _plain("global_context"),
    "pfedmoap": _plain("context"),
    "fedmgp": _shared_groups,
}
"""As the evaluating server computes them, where that differs."""
