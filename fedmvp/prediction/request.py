"""What is asked of a prediction: which weights, which backbone, which classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedmvp.prediction.backbones import BackboneChoice

__all__ = ["PredictionRequest"]


@dataclass(frozen=True)
class PredictionRequest:
    """Whatever is left out is taken from the run that made the weights.

    Parameters
    ----------
    weights : Path, optional
        A result's weights.safetensors (or its folder) or an imported file; none for methods
        without training, whose name may stand here instead.
    backbone : BackboneChoice, optional
    dataset, domain, classes, attributes
        See `fedmvp.prediction.candidates.choose_candidates`.
    method : str, optional
        By default what the weights say; ``zero_shot`` without weights.
    variant : str, optional
        Bundle of a method's flags; flags that the weights do not fix are taken from it.
    lora : bool, optional
        Whether FedMVP's LoRA is applied; by default as weights and variant say.
    fold : str, optional
        Of weights with several.
    """

    weights: Path | None = None
    backbone: BackboneChoice | None = None
    dataset: str | None = None
    domain: str | None = None
    classes: Path | None = None
    attributes: Path | None = None
    method: str | None = None
    variant: str | None = None
    lora: bool | None = None
    fold: str | None = None
