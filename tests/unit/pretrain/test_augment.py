"""Views of icons: reproducible, of the right shape, and never hiding or recolouring the wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pretrain.augment import Augmenter, plain_patches
from pretrain.tower import MEAN, STD
from tests.unit.pretrain.samples import drawings

SIZE, PATCH, KEPT, COUNT = 32, 8, 10, 64
NO = torch.zeros(COUNT, dtype=torch.bool)


def views(
    images: Tensor, seed: int = 1, mono: Tensor = NO, keep: Tensor = NO
) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return Augmenter(SIZE, PATCH, KEPT, draw)(images, mono, keep)


def pixels(patches: Tensor) -> Tensor:
    """Undo the normalisation, [n, kept, 3, pixels]."""
    split = patches.view(*patches.shape[:2], 3, -1)
    return split * torch.tensor(STD)[:, None] + torch.tensor(MEAN)[:, None]


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(drawings(COUNT, size=SIZE))


def test_views_follow_the_generator_alone(images: Tensor) -> None:
    first, again, other = views(images), views(images), views(images, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_shapes_and_range(images: Tensor) -> None:
    patches, places = views(images)
    assert patches.shape == (COUNT, KEPT, 3 * PATCH * PATCH) and places.shape == (COUNT, KEPT)
    assert (places.diff(dim=1) > 0).all() and places.min() >= 0 and places.max() < 16
    assert pixels(patches).min() > -1e-4 and pixels(patches).max() < 1 + 1e-4


def test_patches_with_ink_are_kept_more_often() -> None:
    image = torch.zeros(COUNT, SIZE, SIZE, 4, dtype=torch.uint8)
    image[:, 8:24, 8:24] = 255  # the four patches in the middle of sixteen
    places = views(image)[1]
    kept = torch.zeros(16).index_add_(0, places.flatten(), torch.ones(places.numel())) / COUNT
    middle = [5, 6, 9, 10]
    assert kept[middle].min() > kept[[i for i in range(16) if i not in middle]].max()


def test_a_named_colour_stays() -> None:
    """A red square whose caption says so never turns blue; without the caption some do."""
    image = torch.zeros(COUNT, SIZE, SIZE, 4, dtype=torch.uint8)
    image[...] = torch.tensor([255, 0, 0, 255], dtype=torch.uint8)

    def reddest(keep: Tensor) -> Tensor:
        colours = pixels(views(image, keep=keep)[0])
        return (colours[:, :, 0] - colours[:, :, 1:].amax(2)).amax((1, 2))

    assert (reddest(~NO) > 0.9).all()
    assert (reddest(NO) < 0.5).any()


def test_black_icons_stay_visible() -> None:
    image = torch.zeros(COUNT, SIZE, SIZE, 4, dtype=torch.uint8)
    image[:, 6:26, 6:26, 3] = 255
    shown = pixels(views(image, mono=~NO)[0])
    spread = (shown.amax((1, 3)) - shown.amin((1, 3))).amax(1)
    assert (spread > 0.15).float().mean() > 0.95


def test_plain_patches_are_the_convolutions_on_white(images: Tensor) -> None:
    patches, places = plain_patches(images, SIZE, PATCH)
    rgba = images.permute(0, 3, 1, 2).float() / 255
    white = rgba[:, :3] * rgba[:, 3:] + 1 - rgba[:, 3:]
    normal = (white - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    kernel = torch.randn(5, 3, PATCH, PATCH, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.conv2d(normal, kernel, stride=PATCH).flatten(2).transpose(1, 2)
    torch.testing.assert_close(patches @ kernel.flatten(1).T, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(places[0], torch.arange(16))
