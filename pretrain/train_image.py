"""First phase: the image tower learns to match a projection of its captions' embeddings.

Sampled softmax over all captions: each image's caption against thousands of others, none of them
another caption of the same icon or nearly the same sentence.
Run: `python -m pretrain.train_image [--minutes M] [--device cuda]`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretrain.augment import Augmenter
from pretrain.corpus import Corpus, load_corpus
from pretrain.loop import Options, finish, fresh_draw, options, run_phase
from pretrain.probes import Probe, encode, load_probes, top1
from pretrain.recipe import Recipe, load_recipe
from pretrain.tower import build, image_features, init_mimetic
from pretrain.workers import launch, share

__all__ = ["ImageStudent", "sampled_softmax", "train"]

_MAX_LOG_SCALE = 4.6052  # ln 100, as in CLIP
_NEAR_DUPLICATE = 0.9  # cosine of sentence embeddings above which a text is not a negative
_NEGATIVE_POWER = 0.75


class ImageStudent(nn.Module):
    """The image tower, and the projection of sentence embeddings to its space."""

    def __init__(self, visual: nn.Module, projection: Tensor, mean: Tensor) -> None:
        super().__init__()
        self.visual = visual
        self.mean: Tensor
        self.register_buffer("mean", mean)
        self.projection = nn.Parameter(projection)
        self.log_scale = nn.Parameter(torch.tensor(2.659))  # ln(1 / 0.07), as in CLIP

    def texts(self, embeddings: Tensor) -> Tensor:
        """Return unit text targets, float32 [n, d]."""
        return functional.normalize((embeddings - self.mean) @ self.projection, dim=-1)


def principal_projection(corpus: Corpus, width: int) -> tuple[Tensor, Tensor]:
    """Return the first principal axes of the captions as drawn, and their mean.

    The axes are scaled by the fourth root of their inverse variance: half-way to white, so that
    the few directions in which sentences vary most do not drown the rest.

    Returns
    -------
    projection, mean
        float32 [384, width] and [384].
    """
    weights = corpus.text_weights.float()[:, None]
    mean = (weights * corpus.embeddings).sum(0)
    centred = corpus.embeddings - mean
    variances, axes = torch.linalg.eigh(centred.T @ (weights * centred))
    scale = variances.flip(0)[:width] ** -0.25
    return (axes.flip(1)[:, :width] * scale).contiguous(), mean


def shared_slots(others: Tensor, negatives: Tensor) -> Tensor:
    """Return which negatives are captions of the image's own icon, bool [n, negatives].

    `negatives` is sorted and without repeats; `others` is padded with -1.
    """
    place = torch.searchsorted(negatives, others).clamp_(max=len(negatives) - 1)
    hit = negatives[place] == others
    mask = torch.zeros(len(others), len(negatives), dtype=torch.bool, device=others.device)
    rows = torch.arange(len(mask), device=others.device)[:, None].expand_as(place)
    mask[rows[hit], place[hit]] = True
    return mask


def sampled_softmax(
    features: Tensor,
    captions: Tensor,
    shares: Tensor,
    negatives: Tensor,
    excluded: Tensor,
    scale: Tensor,
) -> Tensor:
    """Cross-entropy of each caption of an image against the negatives that are not excluded.

    Parameters
    ----------
    features, negatives : Tensor
        Unit vectors [n, d] and [k, d].
    captions, shares : Tensor
        Unit vectors [n, slots, d] and their weights [n, slots].
    excluded : Tensor
        bool [n, k].
    """
    right = scale * torch.einsum("nd,nsd->ns", features, captions)
    wrong = scale * (features.bfloat16() @ negatives.T.bfloat16()).float()
    rest = wrong.masked_fill(excluded, -1e4).logsumexp(1, keepdim=True)
    return (shares * functional.softplus(rest - right)).sum(1).mean()


def excluded_negatives(corpus: Corpus, texts: Tensor, negatives: Tensor) -> Tensor:
    """Return which negatives are not negatives of an icon, bool [n, k].

    Its own captions, and those that nearly say its name.
    """
    names = corpus.embeddings[texts[:, 0]].bfloat16()
    near = names @ corpus.embeddings[negatives].T.bfloat16() > _NEAR_DUPLICATE
    return near | shared_slots(texts, negatives)


def draw_negatives(corpus: Corpus, count: int, draw: torch.Generator) -> Tensor:
    """Return different texts, common ones more often, sorted int64 [count]."""
    weights = corpus.text_weights**_NEGATIVE_POWER
    return torch.multinomial(weights, count, generator=draw).sort().values


def _step(
    student: ImageStudent, corpus: Corpus, augment: Augmenter, recipe: Recipe, draw: torch.Generator
) -> Tensor:
    phase = recipe.image_phase
    batch = corpus.batch(share(phase.batch_size), draw)
    negatives = draw_negatives(corpus, phase.negatives, draw).to(augment.device)
    texts, shares = batch.texts.to(augment.device), batch.shares.to(augment.device)
    patches, places = augment(batch.images, batch.mono, batch.keep_colour)
    features = functional.normalize(
        image_features(student.visual, patches.bfloat16(), places), dim=1
    )
    captions = student.texts(corpus.embeddings[texts.clamp(min=0)])
    wrong = student.texts(corpus.embeddings[negatives])
    scale = student.log_scale.clamp(max=_MAX_LOG_SCALE).exp()
    return sampled_softmax(
        features, captions, shares, wrong, excluded_negatives(corpus, texts, negatives), scale
    )


def probe(student: ImageStudent, probes: list[Probe], recipe: Recipe) -> dict[str, float]:
    """Return zero-shot accuracy by probe."""
    student.eval()
    scores = {}
    for task in probes:
        features = encode(student.visual, task.images, recipe.model, torch.bfloat16)
        with torch.no_grad():
            texts = student.texts(task.embeddings.to(student.mean.device)).cpu()
        scores[task.name] = round(top1(features, task.labels, task.styles, texts), 4)
    return scores


def train(recipe: Recipe, corpus: Corpus, probes: list[Probe], options: Options) -> None:
    """Train, or go on training, until the recipe's number of images or the time limit."""
    phase, model, device = recipe.image_phase, recipe.model, options.device
    torch.manual_seed(phase.seed)
    visual = build(model).visual
    init_mimetic(visual, model.image_size, model.patch_size)
    student = ImageStudent(visual, *principal_projection(corpus, model.embed_dim)).to(device)
    shadow = ImageStudent(
        build(model).visual, student.projection.detach().clone(), student.mean.clone()
    ).to(device)
    draw = fresh_draw("image", phase.seed)
    augment = Augmenter(model.image_size, model.patch_size, phase.keep_tokens, draw, device)
    placed = corpus.to(device)

    def watch(average: Mapping[str, Tensor]) -> dict[str, float]:
        shadow.load_state_dict(average)
        return {"scale": round(student.log_scale.exp().item(), 2), **probe(shadow, probes, recipe)}

    run_phase(
        "image",
        recipe,
        student,
        draw,
        lambda draw: {"loss": _step(student, placed, augment, recipe, draw)},
        watch,
        options.minutes,
    )


def main() -> None:
    """Train where the phase is not complete."""
    recipe, chosen = load_recipe(), options(__doc__ or "")
    if not finish("image", recipe):
        corpus = load_corpus(recipe.icons)
        launch(train, chosen.workers, recipe, corpus, load_probes(every=4), chosen)
        finish("image", recipe)


if __name__ == "__main__":
    main()
