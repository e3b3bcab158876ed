"""Logits and losses of every baseline (docs/method.md#baselines), one image and class at a time.

State: tensors by the package's names, float64. Names: class names of the set, spaces for
underscores.

Shapes: B images, K classes, M image tokens, d_t text width, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tests.reference.arithmetic import (
    attention,
    gelu,
    layer_norm,
    linear,
    normalise,
    softmax,
)
from tests.reference_baselines.towers import Model, image_feature, image_tokens, text_feature
from tests.reference_baselines.transport import partial_transport

State = Mapping[str, Tensor]
Features = Callable[[Tensor, State, Sequence[str], Model], Tensor]

ENSEMBLE = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)


def fixed(template: str, name: str, model: Model) -> Tensor:
    """t of a fixed text, without gradient."""
    with torch.no_grad():
        return text_feature(template.format(name), model)


def frozen(image: Tensor, model: Model) -> Tensor:
    """v, without gradient."""
    with torch.no_grad():
        return image_feature(image, model)


def scores(v: Tensor, texts: Sequence[Tensor], model: Model) -> Tensor:
    """s · v·t_k for every class, [K]."""
    return torch.stack([model.scale * (v * t).sum() for t in texts])


def zero_shot(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    texts = [fixed("a photo of a {}.", name, model) for name in names]
    return scores(frozen(image, model), texts, model)


def zero_shot_ensemble(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    """The seven templates and the dataset's own."""
    texts = []
    for name in names:
        parts = [fixed(template, name, model) for template in (*ENSEMBLE, "a photo of a {}.")]
        texts.append(normalise(sum(parts[1:], parts[0]) / len(parts)))
    return scores(frozen(image, model), texts, model)


def prompted_texts(state: State, names: Sequence[str], model: Model) -> list[Tensor]:
    """t_k of "X X X X {class}." with the learned context."""
    slots = " ".join("X" * len(state["context"]))
    return [text_feature(f"{slots} {name}.", model, words=state["context"]) for name in names]


def promptfl(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    return scores(frozen(image, model), prompted_texts(state, names, model), model)


def fedcocoop(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    v = frozen(image, model)
    hidden = linear(v, state["meta_net.reduce.weight"], state["meta_net.reduce.bias"])
    hidden = torch.where(hidden > 0, hidden, torch.zeros_like(hidden))
    shift = linear(hidden, state["meta_net.expand.weight"], state["meta_net.expand.bias"])
    moved = torch.stack([word + shift for word in state["context"]])
    return scores(v, prompted_texts({"context": moved}, names, model), model)


def fedvpt(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    """Shallow and deep: prompt [D, m, d]."""
    prompt = state["prompt"]
    deep = {block: prompt[block] for block in range(1, len(prompt))}
    v = normalise(image_tokens(image, model, before_norm=prompt[0], replaced=deep)[0])
    return scores(v, [fixed("a photo of a {}.", name, model) for name in names], model)


def fedvlp(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    text, visual = state["text_prompt"], state["visual_prompt"]
    slots = " ".join("X" * text.shape[1])
    texts = [
        text_feature(f"{slots} {name}.", model, replaced=dict(enumerate(text))) for name in names
    ]
    deep = {block: visual[block] for block in range(1, len(visual))}
    v = normalise(image_tokens(image, model, after_norm=visual[0], replaced=deep)[0])
    return scores(v, texts, model)


def fedmaple(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    """ "a photo of a {class}." with its first words learned, and F_i(c_i) beside the patches."""
    words = [state["context"], *state["deep"]]
    texts = [
        text_feature(
            f"a photo of a {name}.",
            model,
            words=words[0],
            replaced={block: words[block] for block in range(1, len(words))},
        )
        for name in names
    ]
    visual = [
        linear(part, state[f"couplers.{i}.weight"], state[f"couplers.{i}.bias"])
        for i, part in enumerate(words)
    ]
    deep = {block: visual[block] for block in range(1, len(visual))}
    v = normalise(image_tokens(image, model, before_norm=visual[0], replaced=deep)[0])
    return scores(v, texts, model)


def fedtpg(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    """One block of 4 heads over the bare names; depth 1."""
    context = torch.stack([fixed("{}", name, model) for name in names])
    if "project.weight" in state:
        context = linear(context, state["project.weight"], state["project.bias"])

    def normed(x: Tensor, part: str) -> Tensor:
        return layer_norm(x, state[f"{part}.weight"], state[f"{part}.bias"])

    def projected(x: Tensor, path: str) -> Tensor:
        return linear(x, state[f"attention.{path}_weight"], state[f"attention.{path}_bias"])

    query = projected(normed(state["soft_prompt"], "attention.norm"), "query")
    keys = normed(context, "attention.norm_context")
    mixed = attention(query, projected(keys, "key"), projected(keys, "value"), 4)
    h = linear(mixed, state["attention.output.weight"], state["attention.output.bias"])
    wide = linear(
        normed(h, "feed_forward.norm"),
        state["feed_forward.expand.weight"],
        state["feed_forward.expand.bias"],
    )
    half = wide.shape[1] // 2
    gated = wide[:, :half] * gelu(wide[:, half:])
    g = h + linear(
        gated, state["feed_forward.contract.weight"], state["feed_forward.contract.bias"]
    )
    return scores(frozen(image, model), prompted_texts({"context": g}, names, model), model)


def gated_feature(image: Tensor, state: State, model: Model) -> Tensor:
    """FedCLIP's v̂."""
    with torch.no_grad():
        f = image_tokens(image, model)[0]
    hidden = torch.tanh(linear(f, state["gate.hidden.weight"], state["gate.hidden.bias"]))
    gate = softmax(linear(hidden, state["gate.output.weight"], state["gate.output.bias"]))
    return normalise(gate * f)


def fedclip(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    texts = [fixed("a picture of a {}.", name, model) for name in names]
    return scores(gated_feature(image, state, model), texts, model)


def patches(image: Tensor, model: Model) -> list[Tensor]:
    """Output tokens but cls, normalised, without gradient."""
    with torch.no_grad():
        return [normalise(token) for token in image_tokens(image, model)[1:]]


def fedotp(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    """A client's logits: both prompts, partial transport with its default numbers."""
    tokens = patches(image, model)
    shared = prompted_texts({"context": state["global_context"]}, names, model)
    own = prompted_texts({"context": state["local_context"]}, names, model)
    logits = []
    for pair in zip(shared, own, strict=True):
        similarity = torch.stack([torch.stack([(f * t).sum() for t in pair]) for f in tokens])
        plan = torch.tensor(partial_transport(similarity.detach().tolist()))
        logits.append(model.scale * (plan * similarity).sum())
    return torch.stack(logits)


def fedotp_global(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    """The server's logits: the mean similarity to the shared prompt."""
    tokens = patches(image, model)
    texts = prompted_texts({"context": state["global_context"]}, names, model)
    means = [sum((f * t).sum() for f in tokens) / len(tokens) for t in texts]
    return model.scale * torch.stack([torch.as_tensor(m) for m in means])


def fed_dualcoop(image: Tensor, state: State, names: Sequence[str], model: Model) -> Tensor:
    """Both texts over regions, weighted by the positive one's softmax."""
    regions = patches(image, model)
    shown = prompted_texts({"context": state["positive_context"]}, names, model)
    absent = prompted_texts({"context": state["negative_context"]}, names, model)
    logits = []
    for plus, minus in zip(shown, absent, strict=True):
        weights = [torch.exp(20.0 * (f * plus).sum()) for f in regions]
        total = sum(weights[1:], weights[0])
        parts = [
            w / total * ((f * plus).sum() - (f * minus).sum())
            for w, f in zip(weights, regions, strict=True)
        ]
        logits.append(model.scale * sum(parts[1:], parts[0]))
    return torch.stack(logits)


LOGITS: dict[str, Features] = {
    "zero_shot": zero_shot,
    "zero_shot_ensemble": zero_shot_ensemble,
    "promptfl": promptfl,
    "fedkgcoop": promptfl,
    "fedcocoop": fedcocoop,
    "fedvpt": fedvpt,
    "fedvpt_deep": fedvpt,
    "fedvlp": fedvlp,
    "fedmaple": fedmaple,
    "fedtpg": fedtpg,
    "fedclip": fedclip,
    "fedotp": fedotp,
    "fed_dualcoop": fed_dualcoop,
}
"""As a client computes them."""


def cross_entropy(logits: Tensor, label: int) -> Tensor:
    """-log softmax_label."""
    return torch.logsumexp(logits, dim=0) - logits[label]


def loss(
    method: str,
    images: Tensor,
    labels: Sequence[int],
    state: State,
    names: Sequence[str],
    model: Model,
) -> Tensor:
    """Mean loss of a batch with each method's default numbers."""
    if method == "fedclip":
        return contrastive(images, labels, state, names, model)
    parts = [
        cross_entropy(LOGITS[method](image, state, names, model), label)
        for image, label in zip(images, labels, strict=True)
    ]
    total = sum(parts[1:], parts[0]) / len(parts)
    if method == "fedkgcoop":
        texts = prompted_texts(state, names, model)
        near = [
            (t * fixed("a photo of a {}.", name, model)).sum()
            for t, name in zip(texts, names, strict=True)
        ]
        total = total + 8.0 * (1 - sum(near[1:], near[0]) / len(near))
    return total


def contrastive(
    images: Tensor, labels: Sequence[int], state: State, names: Sequence[str], model: Model
) -> Tensor:
    """Every image against the texts of the batch's labels, and every such text against them."""
    features = [gated_feature(image, state, model) for image in images]
    texts = [fixed("a picture of a {}.", names[label], model) for label in labels]
    count = len(texts)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(count):
        rows = torch.stack([model.scale * (features[i] * t).sum() for t in texts])
        columns = torch.stack([model.scale * (f * texts[i]).sum() for f in features])
        total = total + cross_entropy(rows, i) / count + cross_entropy(columns, i) / count
    return total / 2
