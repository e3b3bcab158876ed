"""Estimates of memory and disk, against what is really held."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fedmvp.partition.model import Client, Target
from pipeline.support.resources import decoded_bytes, memory_bytes, tell_resources

if TYPE_CHECKING:
    import torch

    from fedmvp.clip.backbone import Backbone


@pytest.mark.parametrize("shape", ["tiny", "picto"])
def test_activations_are_those_autograd_holds(
    backbone: Callable[[str], Backbone], shape: str
) -> None:
    """Within a third, without the prompts' own tokens; every tensor counted once."""
    import torch

    tower = backbone(shape)
    vision = tower.spec.vision
    side = vision.image_size
    held: dict[int, int] = {}
    frozen = {p.untyped_storage().data_ptr() for p in tower.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in frozen:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    prompts = torch.zeros(1, 1, vision.width, requires_grad=True)
    embedded = tower.vision.embed(torch.zeros(2, 3, side, side))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        features = tower.vision(embedded, prompts)
    assert features.requires_grad
    estimated = 2 * 4 * vision.activations(training=True)
    assert estimated == pytest.approx(sum(held.values()), rel=0.35)
    one = vision.activations(training=False)
    assert vision.activations(training=True) == one * (vision.layers - 1)


def test_images_count_as_often_as_they_are_kept() -> None:
    images = ("1", "2", "3")
    client = Client("a", "main", "food", None, ("x", "y"), images)
    target = Target("food", "main", "target", "food", None, ("x", "y"), ("4", "5"))
    again = Target("food", "other", "target", "food", None, ("x", "y"), ("6", "5"))
    assert decoded_bytes([client, client, target, again], 32) == 6 * 3 * 32 * 32


def test_needs_of_the_papers_tower(
    backbone: Callable[..., Backbone], capsys: pytest.CaptureFixture[str]
) -> None:
    """ViT-B/16 in half precision with batches of 128 fits a common GPU; fp32 takes more."""
    spec = backbone("vit_b16", layers=2, quick_gelu=True).spec
    twelve = spec.model_copy(update={"vision": spec.vision.model_copy(update={"layers": 12})})
    half = memory_bytes(twelve, 600 << 20, 128, training=True, half=True)
    assert 5 << 30 < half < 16 << 30
    assert half < memory_bytes(twelve, 600 << 20, 128, training=True, half=False)
    tell_resources("base_to_new fedmvp", 3 << 30, half)
    line = capsys.readouterr().err
    assert "GiB of memory; 3.0 GiB of decoded images in" in line
    assert "limit 100.0 GiB" in line
