"""Federated multimodal visual prompt tuning (FedMVP) for CLIP, as a reproducible pipeline."""

__version__ = "0.1.0"
