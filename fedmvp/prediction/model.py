"""A trained method as an object that classifies, used by Python, the command and servers.

Shapes: B images, K classes, S input size.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.data.inputs import read_images
from fedmvp.errors import ConfigError
from fedmvp.evaluation.domain import domain_of, foreign_to
from fedmvp.methods.base import Method
from fedmvp.prediction.candidates import Candidates, choose_candidates
from fedmvp.prediction.description import Bundle
from fedmvp.prediction.overlay import Explained, draw_overlay
from fedmvp.prediction.predictor import (
    Attended,
    Predictor,
    independent,
    probabilities,
    ranked,
    shown,
)

__all__ = ["Classification", "Model", "PredictionWarning"]

_KEPT = 8
"""Class lists whose encoded texts are kept; a server is asked for the same ones again."""


class PredictionWarning(UserWarning):
    """Warns that a prediction may not be meaningful."""


@dataclass(frozen=True)
class Classification:
    """A model's predictions for images, in their order.

    Parameters
    ----------
    images : tuple of str, [B]
        Path of each, or ``image <place>``.
    classes : tuple of str, [K]
        What was chosen among.
    logits : ndarray of shape [B, K], float32
    attention : tuple of Attended, [B], or None
        What each image's patches attend to, where it was asked for.
    pixels : ndarray of shape [B, S, S, 3], uint8
        As the model sees the images.
    many_labels : bool
        Whether each class is said to be shown or not for itself.
    threshold : float
        Probability above which it is, where `many_labels`.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    logits: NDArray[np.float32]
    attention: tuple[Attended, ...] | None
    pixels: NDArray[np.uint8]
    many_labels: bool = False
    threshold: float = 0.5

    def __len__(self) -> int:
        return len(self.images)

    @property
    def names(self) -> list[str]:
        """The most probable class of each image, [B]."""
        return [self.classes[int(row.argmax())] for row in self.logits]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax over the classes, [B, K]; rows sum to 1. Of many labels each for itself."""
        return (independent if self.many_labels else probabilities)(self.logits)

    @property
    def shown(self) -> list[tuple[str, ...]]:
        """The classes each image is said to show, the most probable first, [B].

        Of many labels those above the threshold, which may be none; else the most probable one.
        """
        if not self.many_labels:
            return [(name,) for name in self.names]
        return [shown(self.classes, row, self.threshold) for row in self.probabilities]

    def top(self, most: int = 5) -> list[list[tuple[str, float]]]:
        """Return the most probable classes of each image with their probabilities, best first."""
        return [ranked(self.classes, row, most) for row in self.probabilities]

    def picture(self) -> bytes:
        """Return a PNG of what the patches attend to, a row for each image.

        Raises
        ------
        ConfigError
            When attention was not asked for.
        """
        if self.attention is None:
            raise ConfigError(
                "no attention to draw", where="picture", hint="classify with attention=True"
            )
        rows = []
        for place, attended in enumerate(self.attention):
            ((name, share),) = self.top(1)[place]
            said = f"{name} ({100 * share:.1f} %)"
            if self.many_labels:
                said = ", ".join(self.shown[place]) or "none of the classes"
            title = f"{PurePath(self.images[place]).name}: {said}"
            rows.append(Explained(self.pixels[place], title, attended))
        return draw_overlay(rows)


class Model:
    """A method with its learned tensors, and the classes it knows.

    Parameters
    ----------
    bundle : Bundle
        What it is; see `fedmvp.prediction.description`.
    method : Method
        With its learned tensors.
    """

    def __init__(self, bundle: Bundle, method: Method) -> None:
        self.bundle = bundle
        self.method = method
        self._predictors: dict[str, Predictor] = {}

    def __repr__(self) -> str:
        known = ", ".join(self.bundle.candidates) or "none"
        return (
            f"<{self.bundle.method} on {self.bundle.backbone.name}; knows the classes of {known}>"
        )

    @property
    def datasets(self) -> tuple[str, ...]:
        """Datasets whose classes and texts it knows."""
        return tuple(self.bundle.candidates)

    @property
    def image_size_px(self) -> int:
        """Side that images are decoded to: what the backbone sees, times the head's grid."""
        return self.method.head.grid * self.method.backbone.spec.vision.image_size

    def classify(
        self,
        images: Any,
        classes: Sequence[str] | None = None,
        attributes: Mapping[str, Sequence[str]] | None = None,
        *,
        dataset: str | None = None,
        domain: str | None = None,
        attention: bool = False,
        batch_size: int = 32,
    ) -> Classification:
        """Classify images.

        Parameters
        ----------
        images : image or iterable of images
            Pillow images, arrays, tensors, bytes, paths, folders (`fedmvp.data.inputs`).
        classes : sequence of str, optional
            What to choose among; by default the dataset's.
        attributes : mapping of str to sequence of str, optional
            Short descriptions of each class, any number; by default those known of a class of
            that name. Without `classes` its keys are the classes.
        dataset : str, optional
            Whose classes, template and sentence style count: one the model knows or of the
            catalog; by default the first the model was trained on.
        domain : str, optional
            Chooses sentence parts where the dataset has some per domain.
        attention : bool, default=False
            Give what the patches attend to, too (FedMVP with an attribute bank).
        batch_size : int, default=32
            Images per pass.

        Raises
        ------
        DataError
            Naming the first image that is none, or a class list that is none.
        AttributeTextError
            When the method needs attributes of a class that has none.
        ConfigError
            When nothing names classes, or the dataset is unknown.
        """
        predictor = self.predictor(
            dataset=dataset, domain=domain, classes=classes, attributes=attributes
        )
        return classify(predictor, images, attention=attention, batch_size=batch_size)

    def predictor(
        self,
        *,
        dataset: str | None = None,
        domain: str | None = None,
        classes: Any = None,
        attributes: Any = None,
    ) -> Predictor:
        """Return what classifies among some classes; see `classify` and `choose_candidates`."""
        candidates = self._candidates(dataset, domain, classes, attributes)
        key = candidates.model_dump_json()
        found = self._predictors.pop(key, None) or Predictor(
            self.method, candidates, self.bundle.threshold or 0.5
        )
        self._predictors[key] = found  # the last entry is the one used last
        if len(self._predictors) > _KEPT:
            del self._predictors[next(iter(self._predictors))]
        return found

    def _candidates(
        self, dataset: str | None, domain: str | None, classes: Any, attributes: Any
    ) -> Candidates:
        name = dataset or self.bundle.default
        home = self.bundle.candidates.get(name or "")
        if home is None or domain is not None:
            return choose_candidates(
                dataset=name, domain=domain, classes=classes, attributes=attributes
            )
        if classes is None and attributes is None:
            return home
        return choose_candidates(classes=classes, attributes=attributes, like=home)


def classify(
    predictor: Predictor, images: Any, *, attention: bool = False, batch_size: int = 32
) -> Classification:
    """Return what a predictor makes of images; see `Model.classify`.

    Warns
    -----
    PredictionWarning
        When the images are of another kind than the backbone was made for.
    """
    if batch_size < 1:
        raise ConfigError("not a number of images", where="batch_size", value=batch_size, hint="32")
    given = read_images(images, predictor.image_size_px)
    kind = domain_of(predictor.method.backbone.spec)
    if kind is not None and len(given.names) and (unlike := foreign_to(given.pixels, kind)):
        warnings.warn(unlike, PredictionWarning, stacklevel=3)
    logits = predictor.predict(given.pixels, batch_size=batch_size)
    attended = tuple(map(predictor.attended, given.pixels)) if attention else None
    return Classification(
        given.names,
        predictor.class_names,
        logits,
        attended,
        given.pixels,
        predictor.method.head.many_labels,
        predictor.threshold,
    )
