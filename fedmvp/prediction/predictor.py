"""A method, its backbone and candidate classes, ready to classify images.

Shapes: B images, K classes, S input size, b patches, n bank texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fedmvp.attributes.sentences import class_sentences
from fedmvp.clip.backbone import Backbone
from fedmvp.errors import AttributeTextError, DataError
from fedmvp.methods.base import Method
from fedmvp.methods.classes import RaggedFeatures, TextBank, Texts
from fedmvp.prediction.candidates import Candidates

__all__ = [
    "Attended",
    "CandidateBank",
    "Predictor",
    "independent",
    "probabilities",
    "ranked",
    "shown",
]


class CandidateBank(TextBank):
    """Texts of the candidates; attributes may be missing until a method asks for them.

    Parameters
    ----------
    backbone : Backbone
    candidates : Candidates
    """

    def __init__(self, backbone: Backbone, candidates: Candidates) -> None:
        lists = {name: candidates.attributes.get(name, ()) for name in candidates.classes}
        sentences = class_sentences(lists, prefix=candidates.prefix, suffix=candidates.suffix)
        super().__init__(
            backbone, candidates.dataset, candidates.classes, candidates.template, lists, sentences
        )

    def texts(self, kind: str) -> Texts:
        """Return the texts of a kind; a class without any is an error."""
        texts = super().texts(kind)
        for name, own in zip(self.names, texts, strict=True):
            if not own:
                raise AttributeTextError(
                    "class has no attributes",
                    where=f"candidate classes of {self.dataset}",
                    value=name,
                    hint="give them with --attributes FILE, or use --method zero_shot",
                )
        return texts

    def features(self, kind: str) -> RaggedFeatures:
        """Return their features; see `texts`."""
        self.texts(kind)
        return super().features(kind)


@dataclass(frozen=True)
class Attended:
    """What one image's patches attend to.

    Parameters
    ----------
    weights : ndarray of shape [b, n], float32
        Attention of each patch over the bank's texts; rows sum to 1.
    grid : (int, int)
        Rows and columns of the patches.
    texts : tuple of (str, str), [n]
        Class and attribute.
    """

    weights: NDArray[np.float32]
    grid: tuple[int, int]
    texts: tuple[tuple[str, str], ...]


class Predictor:
    """Classifies images among the candidates.

    Parameters
    ----------
    method : Method
        With its learned tensors.
    candidates : Candidates
    threshold : float, default=0.5
        Probability above which a class is said to be shown, where images show many.
    """

    def __init__(self, method: Method, candidates: Candidates, threshold: float = 0.5) -> None:
        self.method = method
        self.threshold = threshold
        self.candidates = candidates
        self.classes = CandidateBank(method.backbone, candidates).select(candidates.classes)
        method.enter(None)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The candidates, in the order of the logits."""
        return self.classes.names

    @property
    def image_size_px(self) -> int:
        """Side that images are decoded to: what the backbone sees, times the head's grid."""
        return self.method.head.grid * self.method.backbone.spec.vision.image_size

    @torch.no_grad()
    def predict(self, images: NDArray[np.uint8], *, batch_size: int = 32) -> NDArray[np.float32]:
        """Return logits, float32 [B, K].

        Parameters
        ----------
        images : ndarray of shape [B, S, S, 3], uint8
            RGB, as `fedmvp.data.decode.decode_image` gives them.

        Raises
        ------
        DataError
            When the logits are not finite.
        """
        head = self.method.head
        logits = np.empty((len(images), len(self.classes)), dtype=np.float32)
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            batch = head.views(self.method.backbone.normalise(images[rows]))
            scores = head.pool(self.method.logits(batch, self.classes))
            logits[rows] = scores.float().cpu().numpy()
        if not np.isfinite(logits).all():
            raise DataError(
                "logits are not finite",
                where=f"method {type(self.method).__name__}",
                hint="the learned tensors or the backbone weights are damaged: get them again",
            )
        return logits

    @property
    def explains(self) -> bool:
        """Whether `attended` has an answer."""
        side = self.image_size_px
        blank = np.zeros((1, side, side, 3), dtype=np.uint8)
        images = self.method.head.views(self.method.backbone.normalise(blank))
        weights = self.method.explain(images, self.classes)
        return weights is not None and weights.shape[-1] == len(self._texts())

    @torch.no_grad()
    def attended(self, image: NDArray[np.uint8]) -> Attended:
        """Return what the patches of one image [S, S, 3] attend to.

        Raises
        ------
        DataError
            When the method's patches do not attend to attributes.
        """
        head, grid = self.method.head, self.method.backbone.spec.vision.grid
        images = head.views(self.method.backbone.normalise(image[None]))
        weights = self.method.explain(images, self.classes)
        texts = self._texts()
        if weights is None or weights.shape[-1] != len(texts):
            raise DataError(
                "patches do not attend to attributes",
                where=f"method {type(self.method).__name__}",
                hint="drop --explain, or use fedmvp with an attribute bank",
            )
        whole = head.stitched(weights, grid).float().cpu().numpy()
        return Attended(whole, (head.grid * grid[0], head.grid * grid[1]), texts)

    def _texts(self) -> tuple[tuple[str, str], ...]:
        lists = self.candidates.attributes
        return tuple((name, text) for name in self.class_names for text in lists.get(name, ()))


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax over the last axis, float64, rows summing to 1."""
    scores = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = scores / scores.sum(axis=-1, keepdims=True)
    return shares


def independent(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability that each class is shown, float64, for images of many labels."""
    shares: NDArray[np.float64] = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return shares


def shown(names: Sequence[str], shares: NDArray[np.float64], threshold: float) -> tuple[str, ...]:
    """Return the classes one image is said to show, the most probable first; there may be none."""
    return tuple(name for name, share in ranked(names, shares, len(names)) if share > threshold)


def ranked(names: Sequence[str], shares: NDArray[np.float64], most: int) -> list[tuple[str, float]]:
    """Return the most probable classes of one image, best first; ties in label order."""
    order = np.argsort(-shares, kind="stable")[:most]
    return [(names[i], float(shares[i])) for i in order]
