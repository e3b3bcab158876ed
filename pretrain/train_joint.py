"""Third phase: both towers together, on captions in templates, through the native text tower.

Loss: each image's caption against many other captions, all encoded by the text tower, plus a pull
of the text tower towards the projected sentence embeddings on captions and lexicon, which keeps
words alive that no icon has.
Run: `python -m pretrain.train_joint [--minutes M]`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pretrain.augment import Augmenter
from pretrain.checkpoints import checkpoint_folder, load_checkpoint, save_checkpoint
from pretrain.corpus import Corpus, load_corpus
from pretrain.join import average_of, join
from pretrain.optimise import MovingAverage, make_optimizers, multiplier
from pretrain.probes import Probe, encode, load_probes, top1
from pretrain.prompts import tokenize_prompts
from pretrain.recipe import Recipe, load_recipe
from pretrain.tower import build, image_features, text_features
from pretrain.train_image import draw_negatives, excluded_negatives, sampled_softmax
from pretrain.train_text import TextCorpus, load_texts
from pretrain.workers import average_gradients, generator, is_first, launch, share, stop_together

__all__ = ["train"]

_MAX_LOG_SCALE = 4.6052
_CAPTIONS = 2  # drawn of each icon


def _texts(clip: Any, tokens: Tensor) -> Tensor:
    return functional.normalize(text_features(clip, tokens, torch.bfloat16), dim=1)


def _step(clip: Any, corpus: Corpus, texts: TextCorpus, teacher: tuple[Tensor, Tensor],
          augment: Augmenter, recipe: Recipe, draw: torch.Generator) -> Tensor:  # fmt: skip
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
    loss = sampled_softmax(features, right.view(*captions.shape, -1),
                           torch.full(captions.shape, 1 / _CAPTIONS), wrong,
                           excluded_negatives(corpus, batch.texts, negatives), scale)  # fmt: skip
    tokens, embeddings = texts.sample(phase.distilled, draw)
    projection, mean = teacher
    targets = functional.normalize((torch.cat([corpus.embeddings[rows], embeddings]) - mean)
                                   @ projection, dim=1)  # fmt: skip
    students = torch.cat([encoded, _texts(clip, tokens)])
    return loss + phase.distill_weight * (1 - (students * targets).sum(1)).mean()


@torch.no_grad()
def probe(clip: Any, probes: list[Probe], recipe: Recipe) -> dict[str, float]:
    """Return zero-shot accuracy by probe, with "an icon of a {}."."""
    scores = {}
    for task in probes:
        features = encode(clip.visual, task.images, recipe.model, torch.bfloat16)
        tokens = tokenize_prompts([f"an icon of a {name}." for name in task.classes])
        texts = _texts(clip, tokens)
        scores[task.name] = round(top1(features, task.labels, task.styles, texts), 4)
    return scores


def train(recipe: Recipe, corpus: Corpus, texts: TextCorpus, probes: list[Probe], minutes: float
          ) -> None:  # fmt: skip
    """Train, or go on training, until the recipe's number of images or the time limit."""
    phase = recipe.joint_phase
    folder = checkpoint_folder("joint")
    torch.manual_seed(phase.seed)
    first_phase = average_of(checkpoint_folder("image"))
    teacher = (first_phase["projection"], first_phase["mean"])
    clip = join(recipe.model)
    optimizers = make_optimizers(clip.named_parameters(), phase.muon_learning_rate,
                                 phase.adam_learning_rate, phase.weight_decay)  # fmt: skip
    average = MovingAverage(clip.state_dict(), phase.ema_decay)
    done = load_checkpoint(folder, clip, optimizers, average)
    draw = generator(phase.seed, "joint phase", done)
    shadow = build(recipe.model)
    augment = Augmenter(recipe.model.image_size, recipe.model.patch_size, phase.keep_tokens, draw)
    base = [phase.muon_learning_rate, phase.adam_learning_rate]
    start = last = time.monotonic()
    first, losses, ended = done, torch.zeros(()), False
    while not ended:
        factor = multiplier(done // phase.batch_size, phase.images // phase.batch_size,
                            phase.warmup_steps, phase.cooldown_fraction)  # fmt: skip
        for optimizer, rate in zip(optimizers, base, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        loss = _step(clip, corpus, texts, teacher, augment, recipe, draw)
        loss.backward()
        average_gradients(clip.parameters())
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(clip.state_dict())
        losses = losses.lerp(loss.detach(), 0.02)
        done += phase.batch_size
        ended = done >= phase.images or stop_together(time.monotonic() - start > minutes * 60)
        if is_first() and (ended or time.monotonic() - last > phase.checkpoint_minutes * 60):
            last = time.monotonic()
            save_checkpoint(folder, clip, optimizers, average, done)
            shadow.load_state_dict(average.values)
            row: dict[str, Any] = {
                "images": done, "loss": round(losses.item(), 4), "lr": round(factor, 4),
                "images_per_s": round((done - first) / (last - start)),
                **probe(shadow, probes, recipe)}  # fmt: skip
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def main() -> None:
    """Parse the limits and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe()
    corpus = load_corpus(recipe.icons)
    launch(train, options.workers, recipe, corpus, load_texts(), load_probes(every=4),
           options.minutes)  # fmt: skip


if __name__ == "__main__":
    main()
