"""From an open_clip model to our two backbone files, the only ones later stages read.

The open_clip model is built and its architecture checked (`open_clip_models`), its tensors are
renamed to native CLIP's keys, and our towers are compared with open_clip's own forward on a fixed
input.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from fedmvp.clip.architecture import canonical, describe
from fedmvp.clip.backbone import Backbone, save_backbone
from fedmvp.clip.open_clip_models import open_clip_model
from fedmvp.clip.spec import BackboneSpec
from fedmvp.errors import BackboneError
from fedmvp.files import sha256_bytes

__all__ = ["import_backbone"]


_TOLERANCE = 1e-4  # on unit-norm features; fp32 rounding stays under 1e-5


def import_backbone(
    out: Path, name: str, pretrained: str | None = None, weights: Path | None = None
) -> BackboneSpec:
    """Write `out`/spec.json and `out`/weights.safetensors for an open_clip model.

    Raises
    ------
    BackboneError
        When the architecture is not supported or our forward differs from open_clip's.
    """
    model = open_clip_model(name, pretrained, weights)
    spec = describe(model, name, pretrained if weights is None else "local")
    state = canonical(model)
    content = save(state)
    spec = spec.model_copy(update={"tower_sha256": sha256_bytes(content)})
    backbone = Backbone.from_state(spec, state)
    _assert_equal(model, backbone)
    save_backbone(out, spec, content)
    return spec


@torch.no_grad()
def _assert_equal(model: Any, backbone: Backbone) -> None:
    """Compare both towers on a fixed image and a fixed text."""
    spec = backbone.spec
    size = spec.vision.image_size
    ramp = torch.linspace(-2, 2, 3 * size * size).sin().reshape(1, 3, size, size)
    ids = torch.zeros(1, spec.text.context_length, dtype=torch.long)
    ids[0, :5] = torch.tensor([spec.text.vocabulary - 2, 320, 1125, 539, spec.text.vocabulary - 1])
    pairs = {
        "image tower": (model.encode_image(ramp, normalize=True), backbone.vision.features(ramp)),
        "text tower": (model.encode_text(ids, normalize=True), backbone.text.features(ids)),
    }
    for tower, (theirs, ours) in pairs.items():
        difference = float((theirs - ours).abs().max())
        if not math.isfinite(difference) or difference > _TOLERANCE:
            raise BackboneError(
                f"our {tower} differs from open_clip's by {difference:.2g}",
                where="backbone.name",
                value=spec.name,
                hint="this architecture has parts the towers do not know; use a plain CLIP ViT",
            )
