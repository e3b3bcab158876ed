"""Token-level templates: "a photo of a {}." around any text without tokenizing it again.

CLIP's byte-pair encoding works word by word, so the ids of prefix, text and suffix can be joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["SENTENCE_FRAMES", "TEMPLATES", "TokenTable", "tokenize", "tokenize_prompts"]

# {} takes the text; a/an follows its first letter.
TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a {}",
    "a {}.",
    "the {}",
    "a photo of a {}.",
    "a photo of a {}.",
    "a photo of a {}",
    "a photo of the {}.",
    "an icon of a {}.",
    "an icon of a {}.",
    "an icon of a {}",
    "an icon of the {}.",
    "an emoji of a {}.",
    "a drawing of a {}.",
    "a drawing of a {}",
    "a picture of a {}.",
    "an image of a {}.",
    "a pictogram of a {}.",
    "an illustration of a {}.",
    "a symbol of a {}.",
    "a cartoon of a {}.",
    "a sketch of a {}.",
    "clip art of a {}.",
    "a simple icon of a {}.",
    "a flat icon of a {}.",
    "a colourful icon of a {}.",
    "a black and white icon of a {}.",
    "this is a {}.",
    "one {}.",
)
SENTENCE_FRAMES = (
    "{}",
    "{}",
    "{}",
    "{}.",
    "which has {}",
    "it has {}.",
    "an icon with {}.",
    "a photo with {}.",
    "something with {}",
    "an icon of something which has {}.",
    "a drawing of a thing with {}",
    "a photo of something that has {}.",
)
_START, _END = 49406, 49407


def tokenize(texts: Sequence[str], limit: int = 48) -> list[list[int]]:
    """Return CLIP's token ids of each text, without start and end, at most `limit`."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    return [tokenizer.encode(text)[:limit] for text in texts]


def tokenize_prompts(texts: Sequence[str]) -> Tensor:
    """Return padded ids of whole prompts with start and end, int64 [n, longest]."""
    return _pad([[_START, *ids, _END] for ids in tokenize(texts)])


class TokenTable:
    """Ids of many texts, joined with templates on demand.

    Parameters
    ----------
    texts : sequence of str
        The bare texts.
    templated : ndarray
        bool [n]; True takes `TEMPLATES`, False takes `SENTENCE_FRAMES`.
    """

    def __init__(self, texts: Sequence[str], templated: NDArray[np.bool_]) -> None:
        self.ids = tokenize(texts)
        self.vowel = [text[:1] in "aeiou" for text in texts]
        self.templated = templated
        self.frames = {
            True: [_frame(t) for t in TEMPLATES],
            False: [_frame(t) for t in SENTENCE_FRAMES],
        }

    def sample(self, rows: Sequence[int], draw: torch.Generator, bare: float = 0.0) -> Tensor:
        """Return padded token ids of texts in random templates, int64 [n, longest].

        `bare` is the extra chance of no template at all.
        """
        luck = torch.rand(len(rows), 2, generator=draw).tolist()
        return _pad(
            [
                self._join(row, pick if skip >= bare else 0.0)
                for row, (pick, skip) in zip(rows, luck, strict=True)
            ]
        )

    def _join(self, row: int, pick: float) -> list[int]:
        frames = self.frames[bool(self.templated[row])]
        before, after = frames[int(pick * len(frames))][self.vowel[row]]
        return [_START, *before, *self.ids[row], *after, _END]


def _frame(template: str) -> tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]:
    """Return (prefix, suffix) ids for texts that start with a consonant, and with a vowel."""
    before, after = template.split("{}")
    vowel = before[:-2] + "an " if before.endswith("a ") else before
    first, second, last = tokenize([before, vowel, after])
    return (first, last), (second, last)


def _pad(rows: list[list[int]]) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])
