"""Learned words in front of class names: the text side of every text-prompt method.

The text of a class is "X X X X {class}.": its placeholder tokens 1..n are replaced by learned
embeddings before positions are added. Class names are passed with the class set in every call and
are not part of the learned state, so a client's prompts work for classes it never saw
(docs/method.md#text-prompts).

Shapes: K classes, n context tokens (slots), N tokens of the longest text, d text width, e joint
embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fedmvp.clip.backbone import Backbone
from fedmvp.clip.text import end_of_text
from fedmvp.clip.tokens import tokenize
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet

__all__ = [
    "ChunkParams",
    "ContextParams",
    "PromptTexts",
    "TextMemory",
    "gaussian",
    "initial_context",
]

#: Start-of-text, one token of a class name, the full stop and end-of-text need room, too.
_OTHER_TOKENS = 4


class ChunkParams(MethodParams):
    """How many texts a method encodes at a time; limits memory, does not change results."""

    text_chunk: int = Field(
        default=128,
        ge=1,
        description="Texts per pass of the text tower. If classes need more than one pass, "
        "activations are computed again in the backward pass instead of being kept.",
    )


class ContextParams(MethodParams):
    """Learned words in front of the class name."""

    n_context: int = Field(default=4, ge=1, description="n, learned context tokens.")
    context_init: str | None = Field(
        default=None,
        description="Words whose embeddings are the initial context, e.g. `a photo of a`; those "
        "beyond n stay fixed. null: N(0, 0.02²).",
    )


def gaussian(*shape: int, generator: torch.Generator) -> nn.Parameter:
    """Return a parameter drawn from N(0, 0.02²), the initial value of most learned prompts."""
    return nn.Parameter(torch.randn(*shape, generator=generator) * 0.02)


def initial_context(
    backbone: Backbone, params: ContextParams, generator: torch.Generator
) -> nn.Parameter:
    """Return the initial context tokens [n, d]: those of the given words, or random ones.

    Raises
    ------
    ValueError
        When the words have fewer than n tokens.
    """
    if params.context_init is None:
        return gaussian(params.n_context, backbone.spec.text.width, generator=generator)
    ids = tokenize([params.context_init], backbone.spec.text.context_length)
    count = int(end_of_text(ids)) - 1
    if count < params.n_context:
        raise ValueError(
            f"context_init {params.context_init!r} has {count} tokens, n_context is "
            f"{params.n_context}"
        )
    embedded = backbone.text.embed(ids.to(backbone.device))[0, 1 : 1 + params.n_context]
    return nn.Parameter(embedded.clone())


class PromptTexts:
    """The prompts of any class set, encoded with a learned context.

    Parameters
    ----------
    backbone : Backbone
    slots : int
        n.
    opening : str, optional
        Words the texts begin with; n times "X" by default. The first n tokens are replaced.
    chunk : int, optional
        Texts per pass of the text tower; by default all in one.

    Raises
    ------
    ValueError
        When n tokens and a class name do not fit the text tower.
    """

    def __init__(
        self,
        backbone: Backbone,
        slots: int,
        *,
        opening: str | None = None,
        chunk: int | None = None,
    ) -> None:
        length = backbone.spec.text.context_length
        if slots + _OTHER_TOKENS > length:
            raise ValueError(
                f"{slots} context tokens and a class name do not fit a text of {length} tokens"
            )
        self.backbone = backbone
        self.slots = slots
        self.opening = opening or " ".join(["X"] * slots)
        self.chunk = chunk
        self._tokens: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}

    def texts(self, classes: ClassSet) -> tuple[str, ...]:
        """Return the texts with their placeholders, one per class."""
        template = f"{self.opening} {{}}."
        return tuple(classes.bank.fill(name, template) for name in classes.names)

    def tokens(self, classes: ClassSet) -> tuple[Tensor, Tensor]:
        """Return token ids [K, N] and end-of-text positions [K]; tokenized once per class set.

        Columns after the longest text are dropped; the causal mask would hide them anyway.
        """
        texts = self.texts(classes)
        if texts not in self._tokens:
            ids = tokenize(texts, self.backbone.spec.text.context_length)
            end = end_of_text(ids)
            device = self.backbone.device
            self._tokens[texts] = ids[:, : int(end.max()) + 1].to(device), end.to(device)
        return self._tokens[texts]

    def features(
        self,
        ids: Tensor,
        end: Tensor,
        context: Tensor | None,
        deep: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Return L2-normalised features of some texts in one pass of the tower.

        Parameters
        ----------
        ids : Tensor of shape [T, N]
        end : Tensor of shape [T]
        context : Tensor of shape [n, d] or [T, n, d], optional
            Takes the place of tokens 1..n before positions are added.
        deep : mapping of block index to Tensor of shape [n, d], optional
            Takes the place of tokens 1..n before that block.

        Returns
        -------
        Tensor of shape [T, e], float32
        """
        with self.backbone.autocast():
            embedded = self.backbone.text.embed(ids)
            if context is not None:
                words = context.to(embedded.dtype).expand(len(ids), -1, -1)
                embedded = torch.cat([embedded[:, :1], words, embedded[:, 1 + self.slots :]], dim=1)
            features = self.backbone.text(embedded, end, deep=deep)
        return F.normalize(features.float(), dim=-1)

    def encode(
        self,
        classes: ClassSet,
        context: Tensor | None,
        deep: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Return the feature of each class with a shared context, [K, e]; see `features`."""
        ids, end = self.tokens(classes)
        if self.chunk is None or len(ids) <= self.chunk:
            return self.features(ids, end, context, deep)
        chunks = list(zip(torch.split(ids, self.chunk), torch.split(end, self.chunk), strict=True))
        if not torch.is_grad_enabled():
            return torch.cat([self.features(*part, context, deep) for part in chunks])
        again = partial(checkpoint, self.features, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([again(*part, context, deep) for part in chunks])

    def remembered(self, memory: TextMemory, classes: ClassSet, context: Tensor) -> Tensor:
        """Return ``encode(classes, context)``, from `memory` if it is there, [K, e]."""
        return memory(self.texts(classes), [context], lambda: self.encode(classes, context))


class TextMemory:
    """The last text features computed without gradient, for the batches of an evaluation.

    They are valid as long as texts and learned tensors do not change. Torch counts changes of a
    tensor, so callers need not report any.

    Parameters
    ----------
    keep : bool, default=True
        If False, they are computed for every batch.
    """

    def __init__(self, keep: bool = True) -> None:
        self.keep = keep
        self._texts: tuple[str, ...] | None = None
        self._state: list[tuple[Tensor, int]] = []
        self._value = torch.empty(0)

    def __call__(
        self, texts: tuple[str, ...], tensors: Sequence[Tensor], compute: Callable[[], Tensor]
    ) -> Tensor:
        """Return ``compute()``, or its last result if texts and tensors are the same."""
        if torch.is_grad_enabled() or not self.keep:
            return compute()
        state = [(tensor, tensor._version) for tensor in tensors]
        if self._texts != texts or not _same(self._state, state):
            self._texts, self._state, self._value = texts, state, compute()
        return self._value


def _same(old: Sequence[tuple[Tensor, int]], new: Sequence[tuple[Tensor, int]]) -> bool:
    """Return whether these are the same tensors, unchanged in between; reads no values."""
    return len(old) == len(new) and all(
        a is b and before == after for (a, before), (b, after) in zip(old, new, strict=True)
    )
