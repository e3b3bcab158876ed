"""Draw augmented views of RGBA icons, straight into normalised patches.

Only the pixels of the patches that are kept are ever computed. Icons live on a transparent
ground, so the ground is part of the augmentation; a black icon may take any ink.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from pretrain.tower import MEAN, STD, patch_grid

__all__ = ["Augmenter", "plain_patches"]

_CPU = torch.device("cpu")
_BLANK_WEIGHT = 0.25  # of a patch without ink when patches are dropped, against 1
_LUMA = torch.tensor([0.299, 0.587, 0.114])


def _uniform(shape: tuple[int, ...], low: float, high: float, draw: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=draw) * (high - low) + low


def _hue_matrix(angle: Tensor) -> Tensor:
    """Rotation about the grey axis, float32 [n, 3, 3]."""
    c, s = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return torch.eye(3) * c + grey * (1 - c) + cross * s


class Augmenter:
    """Random views of icons.

    Parameters
    ----------
    image_size, patch_size : int
        In pixels.
    kept : int
        Patches kept of each image.
    draw : torch.Generator
        Source of all randomness, on the CPU, so that every device draws the same views.
    device : torch.device
        Where pixels are computed.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        kept: int,
        draw: torch.Generator,
        device: torch.device = _CPU,
    ) -> None:
        self.grid = patch_grid(image_size, patch_size).to(device)
        self.kept = kept
        self.draw = draw
        self.device = device

    def __call__(self, images: Tensor, mono: Tensor, keep_colour: Tensor) -> tuple[Tensor, Tensor]:
        """Return one view of each icon.

        Parameters
        ----------
        images : Tensor
            RGBA uint8 [n, s, s, 4].
        mono : Tensor
            bool [n], drawn in black only: may take any ink.
        keep_colour : Tensor
            bool [n], the caption names colours: leave them alone.

        Returns
        -------
        patches, places
            float32 [n, kept, 3 * patch * patch] normalised, and int64 [n, kept].
        """
        n = len(images)
        image = images.to(self.device).permute(0, 3, 1, 2).float() / 255
        image[:, :3] *= image[:, 3:]
        warps = self._warps(n).to(self.device)
        places = self._places(image, warps)
        grid = self.grid[places]  # [n, kept, pixels, 2]
        warped = (
            grid.flatten(1, 2) @ warps[:, :, :2].transpose(1, 2) + warps[:, None, :, 2]
        ).view_as(grid)
        pixels = functional.grid_sample(image, warped, align_corners=False)  # [n, 4, kept, pixels]
        pixels = pixels.flatten(2)
        alpha = pixels[:, 3:]
        matrix, offset = self._colours(n, mono, keep_colour)
        ground = self._ground(n, grid, mono, offset)
        ink = matrix.to(self.device) @ pixels[:, :3] + offset.to(self.device)[:, :, None] * alpha
        ink = torch.minimum(ink.clamp_(min=0), alpha)
        view = ink + (1 - alpha) * ground
        mean, std = (torch.tensor(value, device=self.device)[:, None] for value in (MEAN, STD))
        view = (view - mean) / std
        return view.view(n, 3, self.kept, -1).transpose(1, 2).flatten(2), places

    def _places(self, image: Tensor, warps: Tensor) -> Tensor:
        """Choose the patches to keep, int64 [n, kept]: those with ink more often than blanks."""
        centres = self.grid.mean(1).expand(len(image), -1, -1)
        centres = centres @ warps[:, :, :2].transpose(1, 2) + warps[:, None, :, 2]
        cells = functional.avg_pool2d(image[:, 3:], image.shape[-1] // 16)
        ink = functional.grid_sample(cells, centres[:, None], align_corners=False)[:, 0, 0]
        weight = _BLANK_WEIGHT + (1 - _BLANK_WEIGHT) * (ink > 0.02)
        luck = torch.rand(weight.shape, generator=self.draw).to(self.device)
        # The largest u ** (1 / w) are a weighted draw without replacement (Efraimidis 2006).
        return (luck ** (1 / weight)).topk(self.kept, dim=1).indices.sort(1).values

    def _warps(self, n: int) -> Tensor:
        """Inverse affine maps, float32 [n, 2, 3]; a tenth of the views are left straight."""
        draw = self.draw
        angle = torch.randn(n, generator=draw).clamp_(-2, 2) * math.radians(9)
        zoom = torch.exp(_uniform((n,), math.log(0.85), math.log(1.45), draw))
        stretch = torch.exp(torch.randn(n, generator=draw).clamp_(-2, 2) * 0.07)
        shear = torch.randn(n, generator=draw).clamp_(-2, 2) * 0.06
        straight = torch.rand(n, generator=draw) < 0.15
        zoom = torch.where(straight, 1.0, zoom)
        angle, shear = angle * ~straight, shear * ~straight
        flip = torch.where(torch.rand(n, generator=draw) < 0.25, -1.0, 1.0)
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = torch.stack(
            [
                torch.stack([cos * flip * stretch, -sin + shear], 1),
                torch.stack([sin * flip, cos / stretch], 1),
            ],
            1,
        )
        # A view may move within the room that its size leaves, and slightly beyond.
        room = (0.12 + (zoom - 1).clamp(min=0) * 0.5) * ~straight
        shift = _uniform((n, 2), -1, 1, draw) * room[:, None]
        return torch.cat([rows * zoom[:, None, None], shift[:, :, None]], 2)

    def _colours(self, n: int, mono: Tensor, keep_colour: Tensor) -> tuple[Tensor, Tensor]:
        """Affine colour maps, float32 [n, 3, 3] and [n, 3], on the CPU."""
        draw = self.draw
        chance = torch.rand(n, generator=draw)
        wild = (chance < 0.2).float()
        angle = torch.randn(n, generator=draw) * (0.12 + 0.9 * wild)
        saturation = _uniform((n,), 0.5, 1.5, draw)
        saturation = torch.where(torch.rand(n, generator=draw) < 0.12, 0.0, saturation)
        contrast = _uniform((n,), 0.7, 1.3, draw)
        brightness = _uniform((n,), -0.15, 0.15, draw)
        invert = torch.rand(n, generator=draw) < 0.04
        still = (torch.rand(n, generator=draw) < 0.35) | keep_colour
        angle = torch.where(still, 0.0, angle)
        saturation = torch.where(still, 1.0, saturation)
        contrast = torch.where(still, 1.0, contrast)
        brightness = torch.where(still, 0.0, brightness)
        sign = torch.where(invert & ~still, -1.0, 1.0)
        grey = _LUMA.expand(3, 3)
        matrix = saturation[:, None, None] * torch.eye(3) + (1 - saturation[:, None, None]) * grey
        matrix = matrix @ _hue_matrix(angle) * (contrast * sign)[:, None, None]
        level = 0.5 - 0.5 * contrast * sign + brightness
        offset = level[:, None].expand(n, 3)
        # Ink of black icons: half stay black; silhouettes of colour icons, rarely.
        flat = mono | ((chance > 0.98) & ~keep_colour)
        ink = torch.rand(n, 3, generator=draw)
        ink = torch.where((torch.rand(n, generator=draw) < 0.5)[:, None], 0.0, ink)
        matrix = torch.where(flat[:, None, None], 0.0, matrix)
        return matrix, torch.where(flat[:, None], ink, offset)

    def _ground(self, n: int, grid: Tensor, mono: Tensor, ink: Tensor) -> Tensor:
        """Ground colours: white mostly, else plain or a gradient, float32 [n, 3, pixels or 1]."""
        draw = self.draw
        colour = torch.rand(n, 3, generator=draw)
        light = torch.rand(n, generator=draw) < 0.6
        colour = torch.where(light[:, None], 0.7 + 0.3 * colour, colour)
        white = (torch.rand(n, generator=draw) < 0.6)[:, None]
        colour = torch.where(white, 1.0, colour)
        # Black-only icons must stay visible: turn the ground light where it is near the ink.
        near = ((colour - ink).abs().mean(1) < 0.3) & mono
        flipped = torch.where(ink.mean(1, keepdim=True) > 0.5, ink - 0.5, ink + 0.5)
        colour = torch.where(near[:, None], flipped, colour)
        slope = torch.randn(n, 3, 2, generator=draw) * 0.12
        slope = slope * (torch.rand(n, 1, 1, generator=draw) < 0.25) * ~white[:, :, None]
        ramp = slope.to(self.device) @ grid.flatten(1, 2).transpose(1, 2)
        return (colour.to(self.device)[:, :, None] + ramp).clamp_(0, 1)


def plain_patches(images: Tensor, image_size: int, patch_size: int) -> tuple[Tensor, Tensor]:
    """Return all patches of RGBA icons on white, as evaluation sees them, where the icons are.

    Returns
    -------
    patches, places
        float32 [n, patches, 3 * patch * patch] normalised, and int64 [n, patches].
    """
    rgba = images.permute(0, 3, 1, 2).float() / 255
    rgb = rgba[:, :3] * rgba[:, 3:] + (1 - rgba[:, 3:])
    if rgb.shape[-1] != image_size:
        rgb = functional.interpolate(
            rgb, size=(image_size, image_size), mode="bicubic", antialias=True
        )
    mean, std = (torch.tensor(value, device=rgb.device).view(3, 1, 1) for value in (MEAN, STD))
    rgb = (rgb - mean) / std
    patches = functional.unfold(rgb, patch_size, stride=patch_size).transpose(1, 2)
    places = torch.arange(patches.shape[1], device=rgb.device).expand(len(rgb), -1)
    return patches, places
