"""The training set in memory: images, captions, text embeddings and what is drawn how often."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pretrain.recipe import MADE, Icons
from pretrain.select import Icon, read_icons

__all__ = ["Batch", "Corpus", "line_art", "load_corpus", "row_weights"]

_EXACT_BONUS = 2.0  # an icon called "horse" against one called "horse trailer"
_KEEP_COLOUR = 0.4  # of the draws; only these learn captions that name colours
_LINE_ART_SHARE = 0.2  # of the draws of a colour emoji


@dataclass(frozen=True)
class Batch:
    """Icons and all their captions.

    Attributes
    ----------
    images : Tensor
        RGBA uint8 [n, s, s, 4].
    mono, keep_colour : Tensor
        bool [n]: drawn in black only; colours must stay, for a caption names them.
    texts, shares : Tensor
        int64 and float32 [n, slots]: text ids (-1: none) and their weights, which sum to 1.
    """

    images: Tensor
    mono: Tensor
    keep_colour: Tensor
    texts: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Corpus:
    """What the training loop draws from.

    Attributes
    ----------
    images : ndarray
        RGBA uint8 [rows, s, s, 4].
    mono : Tensor
        bool [rows].
    slots, slot_shares, slot_named : Tensor
        int64, float32 and bool [rows, slots]: text ids (-1: none), their probabilities, and
        whether they name colours.
    embeddings : Tensor
        float32 [texts, 384].
    weights : Tensor
        float64 [rows], sums to 1.
    text_weights : Tensor
        float64 [texts], how often each text is drawn as a caption; sums to 1.
    """

    images: NDArray[np.uint8]
    mono: Tensor
    slots: Tensor
    slot_shares: Tensor
    slot_named: Tensor
    embeddings: Tensor
    weights: Tensor
    text_weights: Tensor

    def to(self, device: torch.device) -> Corpus:
        """Return the same corpus with its embeddings on `device`; icons stay where they are."""
        return replace(self, embeddings=self.embeddings.to(device))

    def batch(self, size: int, draw: torch.Generator) -> Batch:
        """Draw icons; the captions of some name colours, which then must not be changed."""
        rows = torch.multinomial(self.weights, size, replacement=True, generator=draw)
        shares = self.slot_shares[rows]
        keep_colour = torch.rand(size, generator=draw) < _KEEP_COLOUR
        shares = shares * ~(self.slot_named[rows] & ~keep_colour[:, None])
        return Batch(
            torch.from_numpy(self.images[rows.numpy()]),
            self.mono[rows],
            keep_colour,
            self.slots[rows],
            shares / shares.sum(1, keepdim=True),
        )


def line_art(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return black contours of RGBA drawings, uint8 of the same shape."""
    rgb = images[..., :3].astype(np.float32) / 255
    alpha = images[..., 3:].astype(np.float32) / 255
    planes = np.concatenate([rgb * alpha, alpha], axis=-1)
    dy = np.abs(np.diff(planes, axis=1, prepend=0)).max(-1)
    dx = np.abs(np.diff(planes, axis=2, prepend=0)).max(-1)
    strength = np.clip(np.maximum(dx, dy) * 2.5, 0, 1)
    thick = np.maximum(strength, np.roll(strength, 1, axis=2) * 0.7)
    result = np.zeros_like(images)
    result[..., 3] = (thick * 255).astype(np.uint8)
    return result


def row_weights(icons: list[Icon], kept: NDArray[np.bool_], rules: Icons) -> NDArray[np.float64]:
    """Share the draws among groups, then among concepts, then among a concept's icons."""
    weights = np.zeros(len(icons))
    for group, share in rules.shares.items():
        rows = [i for i, icon in enumerate(icons) if icon.group == group and kept[i]]
        counts = Counter(icons[i].concept for i in rows)
        base: dict[str, float] = defaultdict(float)
        for i in rows:
            base[icons[i].concept] += _EXACT_BONUS if icons[i].exact else 1.0
        for i in rows:
            concept = icons[i].concept
            own = (_EXACT_BONUS if icons[i].exact else 1.0) / base[concept]
            weights[i] = own * counts[concept] ** rules.concept_power
        weights[rows] *= share / weights[rows].sum()
    return np.asarray(weights / weights.sum())


def load_corpus(rules: Icons) -> Corpus:
    """Read the outputs of the earlier stages."""
    icons = read_icons()
    kept = np.load(MADE / "kept.npy")
    images = np.load(MADE / "images.npy", mmap_mode="r")
    captions = np.load(MADE / "captions.npz")
    mono = np.load(MADE / "mono.npy")
    weights = row_weights(icons, kept, rules)
    used = np.flatnonzero(weights)
    drawn = np.array([i for i in used if icons[i].group in ("emoji", "colour") and not mono[i]])
    pictures = np.concatenate([images[used], line_art(images[drawn])])
    rows = np.concatenate([used, drawn])
    share = np.concatenate([weights[used], weights[drawn] * _LINE_ART_SHARE])
    share[: len(used)][np.isin(used, drawn)] *= 1 - _LINE_ART_SHARE
    slot_shares = captions["share"][rows].copy()
    named = captions["named"][rows]
    slot_shares[len(used) :][named[len(used) :]] = 0  # contours have lost their colours
    ids = captions["ids"][rows].astype(np.int64)
    flows = (share[:, None] * slot_shares / slot_shares.sum(1, keepdims=True))[ids >= 0]
    embeddings = torch.from_numpy(np.load(MADE / "embeddings.npy").astype(np.float32))
    texts = np.bincount(ids[ids >= 0], weights=flows, minlength=len(embeddings))
    return Corpus(
        images=pictures,
        mono=torch.from_numpy(np.concatenate([mono[used], np.ones(len(drawn), dtype=bool)])),
        slots=torch.from_numpy(ids),
        slot_shares=torch.from_numpy(slot_shares),
        slot_named=torch.from_numpy(named),
        embeddings=embeddings,
        weights=torch.from_numpy(share / share.sum()),
        text_weights=torch.from_numpy(texts / texts.sum()),
    )
