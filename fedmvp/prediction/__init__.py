"""Classify images with a trained method: without the pipeline, its manifests or MLflow.

`load_model` puts backbone, learned tensors and known classes together in a `Model`;
``fedmvp.load``, ``fedmvp predict``, ``fedmvp serve`` and the MLflow model all use it.
"""

from fedmvp.prediction.load import load_model, load_predictor
from fedmvp.prediction.model import Classification, Model
from fedmvp.prediction.predictor import Predictor
from fedmvp.prediction.request import PredictionRequest

__all__ = [
    "Classification",
    "Model",
    "PredictionRequest",
    "Predictor",
    "load_model",
    "load_predictor",
]
