"""Third phase: both towers together, on captions in templates, through the native text tower.

Loss: each image's caption against many other captions, all encoded by the text tower, plus a pull
of the text tower towards the projected sentence embeddings on captions and lexicon, which keeps
words alive that no icon has.
Run: `python -m pretrain.train_joint [--minutes M] [--device cuda]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pretrain.augment import Augmenter
from pretrain.checkpoints import average_of, checkpoint_folder
from pretrain.corpus import Corpus, load_corpus
from pretrain.join import join
from pretrain.loop import Options, finish, fresh_draw, options, run_phase
from pretrain.probes import Probe, encode, load_probes, top1
from pretrain.prompts import tokenize_prompts
from pretrain.recipe import Recipe, load_recipe
from pretrain.tower import build, image_features, text_features
from pretrain.train_image import draw_negatives, excluded_negatives, sampled_softmax
from pretrain.train_text import TextCorpus, load_texts
from pretrain.workers import launch, share

__all__ = ["train"]

_MAX_LOG_SCALE = 4.6052
_CAPTIONS = 2  # drawn of each icon


def _texts(clip: Any, tokens: Tensor) -> Tensor:
    tokens = tokens.to(clip.positional_embedding.device)
    return functional.normalize(text_features(clip, tokens, torch.bfloat16), dim=1)


def _step(
    clip: Any,
    corpus: Corpus,
    texts: TextCorpus,
    teacher: tuple[Tensor, Tensor],
    augment: Augmenter,
    recipe: Recipe,
    draw: torch.Generator,
) -> Tensor:
    phase = recipe.joint_phase
    batch = corpus.batch(share(phase.batch_size), draw)
    slots = torch.multinomial(batch.shares, _CAPTIONS, generator=draw, replacement=True)
    captions = batch.texts.gather(1, slots)
    negatives = draw_negatives(corpus, phase.negatives, draw)
    patches, places = augment(batch.images, batch.mono, batch.keep_colour)
    features = functional.normalize(image_features(clip.visual, patches.bfloat16(), places), dim=1)
    rows = torch.cat([captions.flatten(), negatives])
    encoded = _texts(clip, texts.tokens.sample(rows.tolist(), draw))
    right, wrong = encoded[: captions.numel()], encoded[captions.numel() :]
    scale = clip.logit_scale.clamp(max=_MAX_LOG_SCALE).exp()
    excluded = excluded_negatives(
        corpus, batch.texts.to(augment.device), negatives.to(augment.device)
    )
    shares = torch.full(captions.shape, 1 / _CAPTIONS, device=augment.device)
    loss = sampled_softmax(
        features, right.view(*captions.shape, -1), shares, wrong, excluded, scale
    )
    tokens, embeddings = texts.sample(phase.distilled, draw)
    projection, mean = teacher
    sentences = torch.cat([corpus.embeddings[rows.to(augment.device)], embeddings])
    targets = functional.normalize((sentences - mean) @ projection, dim=1)
    students = torch.cat([encoded, _texts(clip, tokens)])
    return loss + phase.distill_weight * (1 - (students * targets).sum(1)).mean()


@torch.no_grad()
def probe(clip: Any, probes: list[Probe], recipe: Recipe) -> dict[str, float]:
    """Return zero-shot accuracy by probe, with "an icon of a {}."."""
    scores = {}
    for task in probes:
        features = encode(clip.visual, task.images, recipe.model, torch.bfloat16)
        tokens = tokenize_prompts([f"an icon of a {name}." for name in task.classes])
        texts = _texts(clip, tokens).cpu()
        scores[task.name] = round(top1(features, task.labels, task.styles, texts), 4)
    return scores


def train(
    recipe: Recipe, corpus: Corpus, texts: TextCorpus, probes: list[Probe], options: Options
) -> None:
    """Train, or go on training, until the recipe's number of images or the time limit."""
    phase, model, device = recipe.joint_phase, recipe.model, options.device
    torch.manual_seed(phase.seed)
    first_phase = average_of(checkpoint_folder("image"))
    teacher = (first_phase["projection"].to(device), first_phase["mean"].to(device))
    clip = join(model).to(device)
    shadow = build(model).to(device)
    draw = fresh_draw("joint", phase.seed)
    augment = Augmenter(model.image_size, model.patch_size, phase.keep_tokens, draw, device)
    icons, words = corpus.to(device), texts.to(device)

    def watch(average: Mapping[str, Tensor]) -> dict[str, float]:
        shadow.load_state_dict(average)
        return probe(shadow, probes, recipe)

    run_phase(
        "joint",
        recipe,
        clip,
        draw,
        lambda draw: {"loss": _step(clip, icons, words, teacher, augment, recipe, draw)},
        watch,
        options.minutes,
    )


def main() -> None:
    """Train where the phase is not complete."""
    recipe, chosen = load_recipe(), options(__doc__ or "")
    if not finish("joint", recipe):
        corpus = load_corpus(recipe.icons)
        launch(train, chosen.workers, recipe, corpus, load_texts(), load_probes(every=4), chosen)
        finish("joint", recipe)


if __name__ == "__main__":
    main()
