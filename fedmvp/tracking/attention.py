"""Attention of patches to attributes as pictures: one PNG per explained image."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from fedmvp.catalog.spec import load_spec
from fedmvp.data.decode import decode_image
from fedmvp.data.locations import dataset_folder
from fedmvp.data.manifest import Manifest
from fedmvp.data.manifest_files import load_manifest
from fedmvp.data.readers.layout import locate
from fedmvp.errors import FedMVPError
from fedmvp.heat_map import draw_heat_map
from fedmvp.paths import manifest_path

__all__ = ["ImageLoader", "attention_maps", "local_images"]

#: Returns the picture of (dataset, image id), or None if the data is not on this machine.
ImageLoader = Callable[[str, str], Image.Image | None]

_MOST_MAPS = 6
_CELL_PX, _GAP_PX, _CAPTION_PX = 160, 8, 16
_CAPTION_CHARACTERS = 25


def attention_maps(explain: Mapping[str, Any], load_image: ImageLoader) -> dict[str, bytes]:
    """Return artifact path to PNG: the image, then overlays of its first attributes.

    Parameters
    ----------
    explain : mapping
        Content of explain.json.
    """
    pictures = {}
    for number, item in enumerate(explain["images"]):
        if item["attributes"]:
            word = re.sub(r"\W+", "-", item["class"], flags=re.ASCII).strip("-")
            pictures[f"attention/{number:02d}-{item['dataset']}-{word}.png"] = _strip(
                item, load_image(item["dataset"], item["id"])
            )
    return pictures


def local_images(root: Path) -> ImageLoader:
    """Return a loader of images that are on this machine; it does not fetch any."""

    @cache
    def manifest(dataset: str) -> Manifest:
        return load_manifest(root / manifest_path(dataset))

    spec_of = cache(load_spec)

    def load(dataset: str, image_id: str) -> Image.Image | None:
        try:
            spec = spec_of(dataset)
            folder = root / dataset_folder(dataset, spec.raw_folders)
            path = locate(spec, folder).base / manifest(dataset).image(image_id).path
            return Image.fromarray(decode_image(path, _CELL_PX))
        except FedMVPError:  # no such image here, or another version: the maps are shown without it
            return None

    return load


def _strip(item: Mapping[str, Any], picture: Image.Image | None) -> bytes:
    shown = item["attributes"][:_MOST_MAPS]
    base = picture if picture is not None else Image.new("RGB", (1, 1), (235, 235, 235))
    base = base.convert("RGB").resize((_CELL_PX, _CELL_PX), Image.Resampling.NEAREST)
    width = (len(shown) + 1) * (_CELL_PX + _GAP_PX) - _GAP_PX
    strip = Image.new("RGB", (width, _CELL_PX + _CAPTION_PX), (255, 255, 255))
    cells = [(base, f"{item['class']} > {item['predicted']}")]
    cells += [(draw_heat_map(base, item["grid"], a["weights"]), a["text"]) for a in shown]
    draw = ImageDraw.Draw(strip)
    for column, (cell, caption) in enumerate(cells):
        x = column * (_CELL_PX + _GAP_PX)
        strip.paste(cell, (x, 0))
        # The built-in font lacks most of Unicode; explain.json has the texts in full.
        plain = caption[:_CAPTION_CHARACTERS].encode("ascii", "replace").decode()
        while draw.textlength(plain) > _CELL_PX:
            plain = plain[:-1]
        draw.text((x, _CELL_PX + 2), plain, fill=(0, 0, 0))
    buffer = io.BytesIO()
    strip.save(buffer, format="PNG")
    return buffer.getvalue()
