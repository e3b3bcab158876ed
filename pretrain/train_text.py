"""Second phase, independent of the first: the text tower learns MiniLM's sentence space.

The student maps a text in any template to the sentence embedding of the bare text, so templates
change nothing. Its last matrix is [width, 384]; joining the towers multiplies it with the image
phase's projection, which works because the outputs have the targets' length. Loss: squared
distance plus InfoNCE against the other targets of the batch.
Run: `python -m pretrain.train_text [--minutes M] [--device cuda]`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pretrain.loop import Options, finish, fresh_draw, options, run_phase
from pretrain.prompts import TokenTable
from pretrain.recipe import MADE, Recipe, load_recipe
from pretrain.tower import build, text_features
from pretrain.workers import launch, share

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

    def to(self, device: torch.device) -> TextCorpus:
        """Return the same texts with their embeddings on `device`."""
        placed = TextCorpus(self.tokens, self.embeddings, self.captions)
        placed.embeddings, placed.mean = self.embeddings.to(device), self.mean.to(device)
        return placed

    def sample(self, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return token ids [n, longest] and target embeddings [n, 384], where these are."""
        lexicon = int(size * _LEXICON_SHARE)
        captions = torch.randint(self.captions, (size - lexicon,), generator=draw)
        others = torch.randint(self.captions, len(self.embeddings), (lexicon,), generator=draw)
        rows = torch.cat([captions, others])
        tokens = self.tokens.sample(rows.tolist(), draw).to(self.embeddings.device)
        return tokens, self.embeddings[rows.to(self.embeddings.device)]


def load_texts() -> TextCorpus:
    """Read captions and lexicon."""
    texts: list[str] = json.loads((MADE / "texts.json").read_text(encoding="utf-8"))
    entries = json.loads((MADE / "lexicon.json").read_text(encoding="utf-8"))
    # A caption of six words or more, or with punctuation, is a definition.
    caption_names = [(len(t.split()) < 6 and ";" not in t) or ", which " in t for t in texts]
    templated = np.array(caption_names + [bool(name) for _, name in entries])
    table = TokenTable([*texts, *(text for text, _ in entries)], templated)
    embeddings = np.concatenate(
        [np.load(MADE / "embeddings.npy"), np.load(MADE / "lexicon_embeddings.npy")]
    )
    return TextCorpus(table, torch.from_numpy(embeddings.astype(np.float32)), len(texts))


def _step(
    student: TextStudent, corpus: TextCorpus, recipe: Recipe, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
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
    others = ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    logits = logits.masked_fill(same & others, -1e4)
    contrast = functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
    return distance + phase.contrastive_weight * contrast, cosine.detach()


def train(recipe: Recipe, corpus: TextCorpus, options: Options) -> None:
    """Train, or go on training, until the recipe's number of texts or the time limit."""
    phase = recipe.text_phase
    torch.manual_seed(phase.seed)
    student = TextStudent(build(recipe.model)).to(options.device)
    placed = corpus.to(options.device)

    def step(draw: torch.Generator) -> dict[str, Tensor]:
        loss, cosine = _step(student, placed, recipe, draw)
        return {"loss": loss, "cosine": cosine}

    run_phase(
        "text", recipe, student, fresh_draw("text", phase.seed), step, lambda _: {}, options.minutes
    )


def main() -> None:
    """Train where the phase is not complete."""
    recipe, chosen = load_recipe(), options(__doc__ or "")
    if not finish("text", recipe):
        launch(train, chosen.workers, recipe, load_texts(), chosen)
        finish("text", recipe)


if __name__ == "__main__":
    main()
