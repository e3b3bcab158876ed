"""A model that answers requests with JSON, within limits.

Both ``fedmvp serve`` and the MLflow model use it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedmvp.errors import ConfigError
from fedmvp.prediction.bundle import open_model
from fedmvp.prediction.images import decode_values
from fedmvp.prediction.limits import Budget
from fedmvp.prediction.model import Model
from fedmvp.prediction.overlay import Explained, draw_overlay
from fedmvp.prediction.predictor import Predictor, independent, probabilities, shown

__all__ = ["Ready", "ServedModel", "open_served"]

_BATCH = 32  # images; time is looked at between batches


Run = Callable[[Predictor, NDArray[np.uint8], Any], NDArray[np.float32]]
"""Classifies images, within a budget."""


@dataclass(frozen=True)
class Ready:
    """A request's images, decoded [B, S, S, 3], and what is to classify them."""

    predictor: Predictor
    pixels: NDArray[np.uint8]


class ServedModel:
    """Classifies images given as base64 text, bytes or pixels, among classes its model knows.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def prepare(self) -> None:
        """Encode the default's texts, so that the first request does not pay for them."""
        self.predict([np.zeros((8, 8, 3), dtype=np.uint8)])

    def about(self) -> dict[str, Any]:
        """Return what can be asked for: datasets with their classes, the default, attention.

        Of many labels the threshold, too.
        """
        bundle = self.model.bundle
        many = {} if bundle.multilabel is None else {"threshold": bundle.threshold or 0.5}
        return {
            **many,
            "method": bundle.method,
            "backbone": bundle.backbone.name,
            "default": bundle.default,
            "datasets": {name: list(known.classes) for name, known in bundle.candidates.items()},
            "attention": self.model.predictor().explains,
        }

    def predict(
        self, images: Sequence[Any], dataset: str | None = None, budget: Budget | None = None
    ) -> list[dict[str, Any]]:
        """Return class, probability and all probabilities of each image; see `read`.

        Raises
        ------
        FedMVPError
            As `read` does.
        """
        return self.answers(self.read(images, dataset, budget), _in_batches, budget)

    def read(
        self, images: Sequence[Any], dataset: str | None = None, budget: Budget | None = None
    ) -> Ready:
        """Return the images of a request, decoded, with what is to classify them.

        Parameters
        ----------
        images : sequence
            Each a base64 text (or data URL) or the bytes of an image file, or pixels [H, W, 3] in
            0..255.
        dataset : str, optional
            Whose classes to choose among; the bundle's default if not given.
        budget : Budget, optional
            The request's limits.

        Raises
        ------
        DataError
            Naming the first image that is none.
        ConfigError
            For a dataset the model does not know: clients must not choose what is read from disk.
        TooLarge, TooSlow
            When the request goes over its limits.
        """
        predictor = self._predictor(dataset)
        return Ready(predictor, decode_values(images, predictor.image_size_px, budget))

    def answers(self, ready: Ready, run: Run, budget: Budget | None) -> list[dict[str, Any]]:
        """Return class, probability and all probabilities of each image.

        Of many labels ``classes`` are those above the threshold, which may be none, and each
        probability stands for itself.

        Parameters
        ----------
        run : callable
            Given predictor, images [B, S, S, 3] and budget, returns logits [B, K].
        """
        names = ready.predictor.class_names
        many = ready.predictor.method.head.many_labels
        rows = (independent if many else probabilities)(run(ready.predictor, ready.pixels, budget))
        answers: list[dict[str, Any]] = [
            {
                "class": names[int(row.argmax())],
                "probability": float(row.max()),
                "probabilities": dict(zip(names, map(float, row), strict=True)),
            }
            for row in rows
        ]
        if many:
            for answer, row in zip(answers, rows, strict=True):
                answer["classes"] = list(shown(names, row, ready.predictor.threshold))
        return answers

    def add_pictures(
        self, ready: Ready, answers: Sequence[dict[str, Any]], budget: Budget | None
    ) -> None:
        """Add to each answer a picture of what the image's patches attend to, as a data URL.

        Raises
        ------
        DataError
            When the method's patches do not attend to attributes.
        TooSlow
            When the request's time is over.
        """
        for number, (image, answer) in enumerate(zip(ready.pixels, answers, strict=True)):
            if budget is not None:
                budget.require_time()
            said = f"{answer['class']} ({100 * answer['probability']:.1f} %)"
            if "classes" in answer:
                said = ", ".join(answer["classes"]) or "none of the classes"
            title = f"image {number}: {said}"
            picture = draw_overlay([Explained(image, title, ready.predictor.attended(image))])
            answer["attention"] = f"data:image/png;base64,{base64.b64encode(picture).decode()}"

    def _predictor(self, dataset: str | None) -> Predictor:
        if dataset is not None and dataset not in self.model.datasets:
            raise ConfigError(
                "unknown dataset",
                where="parameter dataset",
                value=dataset,
                hint=f"use one of: {', '.join(self.model.datasets)}",
            )
        return self.model.predictor(dataset=dataset)


def _in_batches(
    predictor: Predictor, pixels: NDArray[np.uint8], budget: Budget | None
) -> NDArray[np.float32]:
    logits = np.empty((len(pixels), len(predictor.class_names)), dtype=np.float32)
    for start in range(0, len(pixels), _BATCH):
        if budget is not None:
            budget.require_time()
        rows = slice(start, start + _BATCH)
        logits[rows] = predictor.predict(pixels[rows])
    return logits


def open_served(
    path: Path,
    *,
    fold: str | None = None,
    default_dataset: str | None = None,
    device: torch.device | str = "cpu",
) -> ServedModel:
    """Return what serves a bundle or a result; see `fedmvp.prediction.bundle.open_model`."""
    model = open_model(path, fold=fold, default_dataset=default_dataset, device=device)
    return ServedModel(model)
