"""The activation with which weights were trained, measured: the one that classifies better.

Shapes: N drawings, K classes, e joint embedding.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

from fedmvp.clip.backbone import Backbone
from fedmvp.clip.spec import BackboneSpec
from fedmvp.clip.tokens import tokenize
from fedmvp.seeds import numpy_generator

__all__ = ["measured_activation"]

#: A file of the repository; only a check reads it, so no result depends on it.
_DRAWINGS = Path("data/emoji/animals.zip")
_STEP, _LEAST, _MOST = 32, 128, 512
_CERTAIN = 4.0
"""Standard errors from which a difference counts. PictoCLIP, four blocks deep, reaches 8 on all
1,114 drawings of animals; the deeper a tower, the more a wrong activation costs."""
_KNOWS = 10.0
"""Multiple of chance from which weights can classify the drawings at all; PictoCLIP's is 40. Other
weights, random ones for instance, may prefer an activation for no reason."""


@torch.no_grad()
def measured_activation(
    spec: BackboneSpec, state: Mapping[str, Tensor], drawings: Path = _DRAWINGS
) -> bool | None:
    """Return whether the weights read drawings of animals clearly better with QuickGELU or without.

    The cross-entropy of the right name among all is compared image by image, until the mean
    difference is four of its standard errors. A model that knows no drawings decides nothing.

    Parameters
    ----------
    spec : BackboneSpec
    state : mapping of str to Tensor
        Named as in weights.safetensors.
    drawings : Path
        An archive of ``<style>/<class>/<file>.png``.

    Returns
    -------
    bool or None
        True for QuickGELU; None where neither is clearly better, or the drawings are not here.
    """
    if not drawings.is_file():
        return None
    images, labels, names = _read(drawings, spec.vision.image_size)
    both = [
        Backbone.from_state(spec.model_copy(update={"quick_gelu": quick}), state)
        for quick in (False, True)
    ]
    ids = tokenize([f"an icon of a {name}." for name in names], spec.text.context_length)
    texts = [backbone.text.features(ids) for backbone in both]
    gains: list[Tensor] = []
    right = torch.zeros(2)
    for start in range(0, len(images), _STEP):
        part, wanted = images[start : start + _STEP], labels[start : start + _STEP]
        losses = []
        for index, backbone in enumerate(both):
            scores = backbone.frozen_features([backbone.normalise(part)]) @ texts[index].T
            right[index] += (scores.argmax(dim=1) == wanted).sum()
            losses.append(cross_entropy(backbone.scale * scores, wanted, reduction="none"))
        gains.append(losses[0] - losses[1])
        gain = torch.cat(gains).double()
        error = float(gain.std()) / math.sqrt(len(gain))
        if float(right.max()) / len(gain) < _KNOWS / len(names):
            return None
        if len(gain) >= _LEAST and abs(float(gain.mean())) > _CERTAIN * error:
            return float(gain.mean()) > 0
    return None


def _read(path: Path, size: int) -> tuple[NDArray[np.uint8], Tensor, list[str]]:
    """Return drawings [N, S, S, 3] on white, mixed over styles and classes, and their classes."""
    with zipfile.ZipFile(path) as archive:
        files = sorted(name for name in archive.namelist() if name.endswith(".png"))
        names = sorted({name.split("/")[1] for name in files})
        order = numpy_generator(1, "activation").permutation(len(files))
        chosen = [files[place] for place in order[:_MOST]]
        images = np.stack([_on_white(archive.read(name), size) for name in chosen])
    labels = torch.tensor([names.index(name.split("/")[1]) for name in chosen])
    return images, labels, [name.replace("-", " ") for name in names]


def _on_white(content: bytes, size: int) -> NDArray[np.uint8]:
    drawing = Image.open(io.BytesIO(content)).convert("RGBA")
    ground = Image.new("RGBA", drawing.size, "white")
    ground.alpha_composite(drawing)
    return np.asarray(ground.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
