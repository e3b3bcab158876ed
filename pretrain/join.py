"""Join the two phases into one open_clip CLIP.

The image phase ends in a projection W of centred sentence embeddings, the text phase in a matrix
H to sentence embeddings. Text features of the joined model are (h H - mean) W = h (H W) - mean W
for the last layer norm's output h; the constant moves into that layer norm's bias.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pretrain.checkpoints import average_of, checkpoint_folder
from pretrain.recipe import Model
from pretrain.tower import build

__all__ = ["join", "join_towers"]


def join_towers(model: Model, image: dict[str, Tensor], text: dict[str, Tensor]) -> Any:
    """Return a CLIP from the averaged weights of both phases."""
    clip = build(model)
    state = {name: value for name, value in image.items() if name.startswith("visual.")}
    state |= {name: value for name, value in text.items() if name != "text_projection"}
    projection = image["projection"].double()
    state["text_projection"] = (text["text_projection"].double() @ projection).float()
    constant = -(image["mean"].double() @ projection)
    shift = torch.linalg.lstsq(state["text_projection"].double().T, constant[:, None]).solution
    state["ln_final.bias"] = text["ln_final.bias"] + shift[:, 0].float()
    state["logit_scale"] = image["log_scale"]
    clip.load_state_dict(state, strict=True)
    return clip


def join(model: Model) -> Any:
    """Return a CLIP joined from the last checkpoints of both phases."""
    return join_towers(
        model, average_of(checkpoint_folder("image")), average_of(checkpoint_folder("text"))
    )
