"""What is timed: the bare tower, and what FedMVP does on the same images.

The bare tower is a frozen ViT as any library computes it: all rows of all blocks, no prompts, its
gradient taken to the tokens behind the patch embedding. It is the floor of a method that adds
prompts there, but for what `fedmvp.shortcuts` leaves out.

Shapes: B images.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fedmvp.clip.vision import VisionTower
from fedmvp.config import FederationParams
from fedmvp.data.decode import decode_image
from fedmvp.federation.client import ClientState, train_client
from fedmvp.methods.fedmvp import FedMVP, FedMVPParams
from fedmvp.methods.zero_shot import ZeroShot
from fedmvp.profiling.inputs import Scene

__all__ = ["FEDERATION", "FORWARD", "GRADIENT", "image_loading", "method_parts", "tower_parts"]

FORWARD, GRADIENT = "bare tower forward", "bare tower forward + input gradient"

FEDERATION = FederationParams(
    rounds=1,
    participation=1.0,
    local_epochs=1,
    batch_size=1,
    learning_rate=1e-4,
    momentum=0.9,
    weight_decay=1e-5,
    schedule="constant",
    client_state="fresh",
    weighting="uniform",
)


@contextlib.contextmanager
def _whole(vision: VisionTower) -> Iterator[VisionTower]:
    taken, vision.cls_only = vision.cls_only, False
    yield vision
    vision.cls_only = taken


def tower_parts(scene: Scene) -> dict[str, Callable[[], object]]:
    """Return the bare tower's forward, and its forward with the input gradient."""
    backbone = scene.backbone
    images = backbone.normalise(scene.data.images)

    def forward() -> None:
        with torch.no_grad(), backbone.autocast(), _whole(backbone.vision) as vision:
            vision(vision.embed(images))

    def gradient() -> None:
        with backbone.autocast(), _whole(backbone.vision) as vision:
            tokens = vision.embed(images).requires_grad_()
            features = vision(tokens)
        torch.autograd.grad(features.float().sum(), tokens)

    return {FORWARD: forward, GRADIENT: gradient}


def method_parts(scene: Scene, prefix: str = "") -> dict[str, Callable[[], object]]:
    """Return a client's training step, and evaluation steps of FedMVP and zero-shot CLIP."""
    backbone, data = scene.backbone, scene.data
    fedmvp = FedMVP(backbone, FedMVPParams(), seed=0).to(backbone.device)
    zero_shot = ZeroShot(backbone, ZeroShot.Params(), seed=0)
    start = {name: tensor.detach().clone() for name, tensor in fedmvp.tensors().items()}
    federation = FEDERATION.model_copy(update={"batch_size": len(data)})

    def training() -> None:
        train_client(
            fedmvp,
            "bench",
            data,
            start,
            ClientState(fedmvp.first_phase),
            federation,
            learning_rate=1e-4,
            seed=0,
            round_index=0,
        )

    @torch.no_grad()
    def evaluation() -> None:
        fedmvp.logits(backbone.normalise(data.images), data.classes).argmax(dim=1).cpu()

    @torch.no_grad()
    def zero() -> None:
        zero_shot.logits(backbone.normalise(data.images), data.classes).argmax(dim=1).cpu()

    def texts() -> None:
        with backbone.autocast():
            backbone.text.features(scene.texts.ids("attributes"))

    return {
        f"{prefix}training step": training,
        f"{prefix}evaluation step": evaluation,
        f"{prefix}zero-shot step": zero,
        f"{prefix}text encoding": texts,
    }


def image_loading(folder: Path, count: int, size_px: int) -> Callable[[], object]:
    """Return the decoding of `count` JPEG photographs of 500 x 375 px, made in `folder`."""
    draw = np.random.default_rng(0)
    coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    path = Path(tempfile.mkstemp(dir=folder, suffix=".jpg")[1])
    coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
    return lambda: [decode_image(path, size_px) for _ in range(count)]
