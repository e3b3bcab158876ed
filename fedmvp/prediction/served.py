"""A model that answers requests: images as they travel, answers as JSON, limits kept.

``fedmvp serve`` and the MLflow model are two faces of it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from fedmvp.prediction.predictor import Predictor, independent, probabilities

__all__ = ["ServedModel", "open_served"]

_BATCH = 32  # images; time is looked at between batches


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

    def predict(
        self, images: Sequence[Any], dataset: str | None = None, budget: Budget | None = None
    ) -> list[dict[str, Any]]:
        """Return class, probability and all probabilities of each image.

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
            For a dataset the model does not know: strangers do not choose what is read from disk.
        TooLarge, TooSlow
            When the request goes over its limits.
        """
        predictor = self._predictor(dataset)
        pixels = decode_values(images, predictor.image_size_px, budget)
        answers = []
        for start in range(0, len(pixels), _BATCH):
            if budget is not None:
                budget.require_time()
            answers += _answers(predictor, pixels[start : start + _BATCH])
        return answers

    def _predictor(self, dataset: str | None) -> Predictor:
        if dataset is not None and dataset not in self.model.datasets:
            raise ConfigError(
                "unknown dataset",
                where="parameter dataset",
                value=dataset,
                hint=f"use one of: {', '.join(self.model.datasets)}",
            )
        return self.model.predictor(dataset=dataset)


def _answers(predictor: Predictor, pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    many = predictor.method.head.many_labels
    shares = (independent if many else probabilities)(predictor.predict(pixels))
    return [
        {
            "class": predictor.class_names[int(row.argmax())],
            "probability": float(row.max()),
            "probabilities": dict(zip(predictor.class_names, map(float, row), strict=True)),
        }
        for row in shares
    ]


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
