"""Second phase, independent of the first: the text tower learns MiniLM's sentence space.

The student maps a text in any template to the sentence embedding of the bare text, so templates
change nothing. Its last matrix is [width, 384]; joining the towers multiplies it with the image
phase's projection, which works because the outputs have the targets' length. Loss: squared
distance plus InfoNCE against the other targets of the batch.
Run: `python -m pretrain.train_text [--minutes M]`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pretrain.checkpoints import checkpoint_folder, load_checkpoint, save_checkpoint
from pretrain.optimise import MovingAverage, make_optimizers, multiplier
from pretrain.prompts import TokenTable
from pretrain.recipe import WORK, Recipe, load_recipe
from pretrain.tower import build, text_features
from pretrain.workers import average_gradients, generator, is_first, launch, share, stop_together

__all__ = ["TextCorpus", "TextStudent", "load_texts", "train"]

_LEXICON_SHARE = 0.5  # of the batch; the rest are captions of icons


class TextStudent(nn.Module):
    """The text half of open_clip's CLIP, ending in MiniLM's 384 dimensions."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        width = clip.ln_final.normalized_shape[0]
        self.text_projection = nn.Parameter(torch.randn(width, 384) * (width * 384) ** -0.5)


class TextCorpus:
    """Captions of icons and the lexicon: tokens and sentence embeddings."""

    def __init__(self, tokens: TokenTable, embeddings: Tensor, captions: int) -> None:
        self.tokens = tokens
        self.embeddings = embeddings
        self.captions = captions
        self.mean = embeddings.mean(0)

    def sample(self, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return token ids [n, longest] and target embeddings [n, 384]."""
        lexicon = int(size * _LEXICON_SHARE)
        captions = torch.randint(self.captions, (size - lexicon,), generator=draw)
        others = torch.randint(self.captions, len(self.embeddings), (lexicon,), generator=draw)
        rows = torch.cat([captions, others])
        return self.tokens.sample(rows.tolist(), draw), self.embeddings[rows]


def load_texts() -> TextCorpus:
    """Read captions and lexicon."""
    texts: list[str] = json.loads((WORK / "texts.json").read_text(encoding="utf-8"))
    entries = json.loads((WORK / "lexicon.json").read_text(encoding="utf-8"))
    # A caption of six words or more, or with punctuation, is a definition.
    caption_names = [(len(t.split()) < 6 and ";" not in t) or ", which " in t for t in texts]
    templated = np.array(caption_names + [bool(name) for _, name in entries])
    table = TokenTable([*texts, *(text for text, _ in entries)], templated)
    embeddings = np.concatenate([np.load(WORK / "embeddings.npy"),
                                 np.load(WORK / "lexicon_embeddings.npy")])  # fmt: skip
    return TextCorpus(table, torch.from_numpy(embeddings.astype(np.float32)), len(texts))


def _step(student: TextStudent, corpus: TextCorpus, recipe: Recipe, draw: torch.Generator
          ) -> tuple[Tensor, Tensor]:  # fmt: skip
    phase = recipe.text_phase
    tokens, targets = corpus.sample(share(phase.batch_size), draw)
    features = text_features(student, tokens, torch.bfloat16)
    distance = ((features - targets) ** 2).sum(1).mean()
    cosine = functional.cosine_similarity(features, targets).mean()
    # What all sentences share says nothing: contrast after taking the mean away.
    centred = functional.normalize(features - corpus.mean, dim=1)
    right = functional.normalize(targets - corpus.mean, dim=1)
    logits = centred @ right.T * phase.contrastive_scale
    same = targets @ targets.T > 0.98
    logits = logits.masked_fill(same & ~torch.eye(len(same), dtype=torch.bool), -1e4)
    contrast = functional.cross_entropy(logits, torch.arange(len(logits)))
    return distance + phase.contrastive_weight * contrast, cosine.detach()


def train(recipe: Recipe, corpus: TextCorpus, minutes: float) -> None:
    """Train, or go on training, until the recipe's number of texts or the time limit."""
    phase = recipe.text_phase
    folder = checkpoint_folder("text")
    torch.manual_seed(phase.seed)
    student = TextStudent(build(recipe.model))
    optimizers = make_optimizers(student.named_parameters(), phase.muon_learning_rate,
                                 phase.adam_learning_rate, phase.weight_decay)  # fmt: skip
    average = MovingAverage(student.state_dict(), phase.ema_decay)
    done = load_checkpoint(folder, student, optimizers, average)
    draw = generator(phase.seed, "text phase", done)
    base = [phase.muon_learning_rate, phase.adam_learning_rate]
    start = last = time.monotonic()
    first, running, ended = done, torch.zeros(2), False
    while not ended:
        factor = multiplier(done // phase.batch_size, phase.texts // phase.batch_size,
                            phase.warmup_steps, phase.cooldown_fraction)  # fmt: skip
        for optimizer, rate in zip(optimizers, base, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        loss, cosine = _step(student, corpus, recipe, draw)
        loss.backward()
        average_gradients(student.parameters())
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(student.state_dict())
        running = running.lerp(torch.stack([loss.detach(), cosine]), 0.02)
        done += phase.batch_size
        ended = done >= phase.texts or stop_together(time.monotonic() - start > minutes * 60)
        if is_first() and (ended or time.monotonic() - last > phase.checkpoint_minutes * 60):
            last = time.monotonic()
            save_checkpoint(folder, student, optimizers, average, done)
            row = {"texts": done, "loss": round(running[0].item(), 4), "lr": round(factor, 4),
                   "cosine": round(running[1].item(), 4),
                   "texts_per_s": round((done - first) / (last - start))}  # fmt: skip
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
    launch(train, options.workers, load_recipe(), load_texts(), options.minutes)


if __name__ == "__main__":
    main()
