"""Classify images with a trained method: without the pipeline, its manifests or MLflow.

`load_predictor` puts backbone, learned tensors and candidate classes together; ``fedmvp predict``
and the MLflow model are two faces of it.
"""

from fedmvp.prediction.load import load_predictor
from fedmvp.prediction.predictor import Predictor
from fedmvp.prediction.request import PredictionRequest

__all__ = ["PredictionRequest", "Predictor", "load_predictor"]
