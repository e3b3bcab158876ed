"""How an image is prepared for the image tower, in a form that other software reads."""

from __future__ import annotations

from typing import Any

from fedmvp.clip.spec import BackboneSpec

__all__ = ["preprocessing"]

_BICUBIC = 3  # Pillow's number


def preprocessing(spec: BackboneSpec) -> dict[str, Any]:
    """Return the preparation of an image as Hugging Face's ``CLIPImageProcessor`` reads it."""
    side = spec.vision.image_size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": _BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
    }
