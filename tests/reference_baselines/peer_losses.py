"""What clients of the personalised methods and their kin descend, one number at a time.

Shapes: K classes, n context tokens, d text width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from tests.reference.arithmetic import normalise, softmax
from tests.reference_baselines.methods import (
    ENSEMBLE,
    Features,
    State,
    cross_entropy,
    fixed,
    frozen,
    scores,
)
from tests.reference_baselines.peers import (
    GLOBAL,
    LOGITS,
    fedprograd,
    group,
    mean,
    own_context,
    prompted,
    texts_of,
)
from tests.reference_baselines.towers import Model

Names = Sequence[str]
Slopes = dict[str, Tensor]
Images = Sequence[Tensor]


def _cross_entropies(
    logits: Features,
    images: Images,
    labels: Sequence[int],
    state: State,
    names: Names,
    model: Model,
) -> Tensor:
    return mean(
        [
            cross_entropy(logits(image, state, names, model), label)
            for image, label in zip(images, labels, strict=True)
        ]
    )


def _contrast(state: State, names: Names, model: Model) -> Tensor:
    """FedPGP's second term, μ = 1 and τ = 0.5."""
    own, shared = (
        texts_of(own_context(state), names, model),
        texts_of(state["context"], names, model),
    )
    slots = " ".join("X" * len(state["context"]))
    parts = []
    for name, z_p, z_g in zip(names, own, shared, strict=True):
        a, b = (fixed(f"{slots} {{}}.", name, model) * z_g).sum(), (z_g * z_p).sum()
        near, far = torch.exp(a / 0.5), torch.exp(b / 0.5)
        parts.append(-torch.log(near / (near + far)))
    return mean(parts)


def weak_projector(context: Tensor, share: float = 0.8) -> Tensor:
    """FedPHA's projector from the eigenvectors of GᵀG, [n, d] → [d, d]."""
    with torch.no_grad():
        count = len(context)
        vectors = torch.linalg.eigh(context.T @ context).eigenvectors.flip(1)[:, :count]
        chosen = vectors[:, int(round(count * (1 - share), 6)) :]
        return chosen @ chosen.T


def _heterogeneous(
    images: Images, labels: Sequence[int], state: State, names: Names, model: Model
) -> Tensor:
    """FedPHA's terms beside the cross-entropy of the client's own context."""
    own, shared = state["local_context"], state["global_context"]
    projected = texts_of(own @ weak_projector(shared), names, model)
    pulls, pushes = [], []
    for mine, theirs, shadow in zip(
        texts_of(own, names, model), texts_of(shared, names, model), projected, strict=True
    ):
        pulls.append(((mine - shadow) ** 2).mean())
        gap = 1 - torch.sqrt(((mine - theirs) ** 2).sum())
        pushes.append(torch.where(gap > 0, gap, torch.zeros_like(gap)))
    server = _cross_entropies(GLOBAL["fedpha"], images, labels, state, names, model)
    return server + mean(pulls) + mean(pushes)


def _diverse(
    images: Images, labels: Sequence[int], state: State, names: Names, model: Model
) -> Tensor:
    """FedMGP's loss with the paper's sign."""
    parts = [[group(image, state, names, model, g) for image in images] for g in range(5)]
    errors = [
        cross_entropy(scores(v, texts, model), label)
        for part in parts
        for (v, *texts), label in zip(part, labels, strict=True)
    ]
    alike_images, alike_texts = [], []
    for one, other in combinations(parts, 2):
        alike_images += [(a[0] * b[0]).sum() for a, b in zip(one, other, strict=True)]
        alike_texts += [(a * b).sum() for a, b in zip(one[0][1:], other[0][1:], strict=True)]
    return mean(errors) + (mean(alike_images) + mean(alike_texts)) / 2


def _regulated(images: Images, state: State, names: Names, model: Model) -> Tensor:
    """FedPromptSRC's terms beside the cross-entropy."""
    plain = [
        normalise(mean([fixed(t, name, model) for t in (*ENSEMBLE, "a photo of a {}.")]))
        for name in names
    ]
    text_gaps, image_gaps, divergences = [], [], []
    for image in images:
        v, texts = prompted(image, state, names, model)
        v0 = frozen(image, model)
        text_gaps = [(t - t0).abs().mean() for t, t0 in zip(texts, plain, strict=True)]
        image_gaps.append((v - v0).abs().mean())
        q, p = softmax(scores(v0, plain, model)), softmax(scores(v, texts, model))
        divergences += [a * torch.log(a / b) for a, b in zip(q, p, strict=True)]
    return 25 * mean(text_gaps) + 10 * mean(image_gaps) + mean(divergences)


def _agreeing(
    images: Images, labels: Sequence[int], state: State, names: Names, model: Model
) -> Slopes:
    """FedProGrad's step, T = λ = 1."""
    words = state["context"]
    own = _cross_entropies(fedprograd, images, labels, state, names, model)
    distilled = []
    for image in images:
        teacher = softmax(
            scores(
                frozen(image, model),
                [fixed("a photo of a {}.", name, model) for name in names],
                model,
            )
        )
        student = fedprograd(image, state, names, model)
        distilled.append(-(teacher * (student - torch.logsumexp(student, dim=0))).sum())
    (slope,) = torch.autograd.grad(own, [words], retain_graph=True)
    (general,) = torch.autograd.grad(mean(distilled), [words])
    product = float((slope * general).sum())
    if product < 0:
        unit = general / torch.sqrt((general**2).sum())
        slope = slope - (slope * unit).sum() * unit
    return {"context": slope}


def slopes(
    name: str,
    images: Images,
    labels: Sequence[int],
    state: Mapping[str, Tensor],
    names: Names,
    model: Model,
) -> Slopes:
    """What a client descends on a batch: the leaves of `state` that need a gradient → slopes."""
    if name == "fedprograd":
        return _agreeing(images, labels, state, names, model)
    extra: dict[str, Callable[[], Tensor]] = {
        "fedpgp": lambda: _contrast(state, names, model),
        "fedpha": lambda: _heterogeneous(images, labels, state, names, model),
        "fedpromptsrc": lambda: _regulated(images, state, names, model),
    }
    if name == "fedmgp":
        total = _diverse(images, labels, state, names, model)
    else:
        total = _cross_entropies(LOGITS[name], images, labels, state, names, model)
        total = total + (extra[name]() if name in extra else 0)
    leaves = {key: tensor for key, tensor in state.items() if tensor.requires_grad}
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
