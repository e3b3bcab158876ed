"""Classify images with a trained method: without the pipeline, its manifests or MLflow.

`fedmvp.prediction.load.load_predictor` puts backbone, learned tensors and candidate classes
together; ``fedmvp predict`` and the MLflow model are two faces of it.
"""
