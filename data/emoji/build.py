"""Build the emoji benchmark: five archives of icons, their catalog entries and the attribution.

Usage, with the unpacked npm package ``@iconify/json`` (version 2.2.535) in FOLDER::

    python data/emoji/build.py FOLDER

Needs the extra ``build`` (resvg-py). A class is an emoji of one of five OpenMoji categories that
at least six of the eight drawing styles show; a style is a domain. Icons are rendered at 64 px on
white and stored as lossless PNG. The archives are reproducible: sorted, stored, without times.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image

from fedmvp.files import sha256_bytes, write_bytes, write_text

SIZE_PX = 64
MIN_STYLES = 6
STYLES = (
    "twemoji",
    "noto",
    "openmoji",
    "fluent-emoji-flat",
    "fluent-emoji",
    "fluent-emoji-high-contrast",
    "emojione",
    "fxemoji",
)
# Dataset -> the OpenMoji category its classes come from.
CATEGORIES = {
    "animals": "Animals Nature",
    "food": "Food Drink",
    "objects": "Objects",
    "travel": "Travel Places",
    "activities": "Activities",
}
# Icons that carry an emoji's name but draw something else.
MISNAMED = {
    ("emojione", "cricket"),  # the game, not the insect
    ("fxemoji", "construction"),  # a building site, not the barrier
    ("fxemoji", "keyboard"),  # the instrument
    ("fxemoji", "sunglasses"),  # a face
    ("openmoji", "scroll"),  # a mouse wheel
}
# Class names whose hyphens or apostrophes the icon's name does not tell.
NAMES = {
    "e-mail": "e-mail",
    "front-facing-baby-chick": "front-facing baby chick",
    "high-heeled-shoe": "high-heeled shoe",
    "jack-o-lantern": "jack-o-lantern",
    "mans-shoe": "man's shoe",
    "one-piece-swimsuit": "one-piece swimsuit",
    "rescue-workers-helmet": "rescue worker's helmet",
    "snow-capped-mountain": "snow-capped mountain",
    "t-rex": "T-Rex",
    "t-shirt": "t-shirt",
    "two-hump-camel": "two-hump camel",
    "womans-boot": "woman's boot",
    "womans-clothes": "woman's clothes",
    "womans-hat": "woman's hat",
    "womans-sandal": "woman's sandal",
    "x-ray": "x-ray",
    "yo-yo": "yo-yo",
}
CAMERAS = {
    "twemoji": "exposure: 0.55, cast: [1, 0.9, 0.75], noise: 0.05, blur: 0.6",
    "noto": "exposure: 0.45, cast: [0.8, 0.9, 1.1], noise: 0.06",
    "openmoji": "exposure: 0.65, cast: [1, 1, 0.9], noise: 0.06, blur: 1",
    "fluent-emoji-flat": "exposure: 0.5, cast: [0.9, 1, 0.8], noise: 0.05, blur: 0.8",
    "fluent-emoji": "exposure: 0.7, cast: [0.8, 0.85, 1], noise: 0.07, blur: 0.5",
    "fluent-emoji-high-contrast": "exposure: 0.45, cast: [1, 0.95, 0.9], noise: 0.05, blur: 0.7",
    "emojione": "exposure: 0.4, cast: [1.05, 0.9, 0.8], noise: 0.04, blur: 0.5",
    "fxemoji": "exposure: 0.6, cast: [0.9, 0.95, 1.1], noise: 0.07",
}
CATALOG_ENTRY = """\
# Written by data/emoji/build.py.
name: {name}
title: "Emoji {name}: {category}"
homepage: https://icon-sets.iconify.design
licence: "one licence per drawing style, see data/emoji/ATTRIBUTION.md"
sources:
  - kind: embedded
    files:
      - path: data/emoji/{name}.zip
        sha256: {sha256}
layout: {{reader: domain_class_folders}}
template: "an icon of a {{}}."
sentence: {{prefix: "an icon of a", suffix: ""}}
split: {{rule: fractions, train: 0.5, val: 0.0, within: class}}
counts: {{images: {images}}}
domains:
{domains}
# A cheap camera in poor light at every site, at severity 1 (fedmvp/catalog/cameras.py).
capture:
{cameras}
classes:
{classes}
"""
ATTRIBUTION = """\
# Emoji benchmark: where the drawings come from

The archives in this folder hold {images} icons of {classes} emoji in {styles} drawing styles. Each
icon was rendered from its SVG at {size} × {size} pixels on a white background; nothing else was
changed. The folder of an icon inside its archive names its style, and that style's licence holds
for it: renderings of a share-alike set stay under that licence.

The SVGs were taken from the npm package `@iconify/json` 2.2.535.

| style | set | author | licence | source |
|---|---|---|---|---|
{rows}

The notice that the MIT licence of Microsoft's sets asks for:

> Copyright (c) Microsoft Corporation.
>
> Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
> associated documentation files (the "Software"), to deal in the Software without restriction,
> including without limitation the rights to use, copy, modify, merge, publish, distribute,
> sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
> furnished to do so, subject to the following conditions:
>
> The above copyright notice and this permission notice shall be included in all copies or
> substantial portions of the Software.
>
> THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
> NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
> NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
> DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
> OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True)
class IconSet:
    """One drawing style: its icons by name, with aliases resolved."""

    prefix: str
    raw: dict[str, Any]

    def find(self, slug: str) -> str | None:
        """Return the name of the icon that draws `slug`; some sets write names without dashes."""
        if (self.prefix, slug) in MISNAMED:
            return None
        names = {**self.raw["icons"], **self.raw.get("aliases", {})}
        if slug in names:
            return slug
        return next((n for n in sorted(names) if _joined(n) == _joined(slug)), None)

    def render(self, name: str) -> bytes:
        """Return the icon as PNG, ``SIZE_PX`` square, on white."""
        alias = self.raw.get("aliases", {}).get(name, {"parent": name})
        if set(alias) != {"parent"}:
            raise SystemExit(f"{self.prefix}/{name}: a transformed alias is not supported")
        icon = self.raw["icons"][alias["parent"]]
        width = icon.get("width", self.raw["width"])
        height = icon.get("height", self.raw["height"])
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" '
            f'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width} {height}" '
            f'width="{SIZE_PX}" height="{SIZE_PX}" color="#000000">{icon["body"]}</svg>'
        )
        png = resvg_py.svg_to_bytes(
            svg_string=svg,
            width=SIZE_PX,
            height=SIZE_PX,
            background="#ffffff",
            skip_system_fonts=True,
        )
        return _smallest_png(Image.open(io.BytesIO(png)).convert("RGB"))


def main(folder: Path) -> None:
    """Write the archives, the catalog entries and the attribution."""
    here = Path(__file__).resolve().parent
    catalog = here.parents[1] / "fedmvp" / "data" / "catalog"
    sets = [IconSet(s, json.loads((folder / "json" / f"{s}.json").read_bytes())) for s in STYLES]
    openmoji = next(s for s in sets if s.prefix == "openmoji")
    totals = {"images": 0, "classes": 0}
    for dataset, category in CATEGORIES.items():
        slugs = [
            s
            for s in sorted(openmoji.raw["categories"][category])
            if sum(one.find(s) is not None for one in sets) >= MIN_STYLES
        ]
        icons = {
            f"{one.prefix}/{slug}/{slug}.png": one.render(found)
            for one in sets
            for slug in slugs
            if (found := one.find(slug))
        }
        archive = _archive(icons)
        write_bytes(here / f"{dataset}.zip", archive)
        write_text(
            catalog / f"{dataset}.yaml",
            CATALOG_ENTRY.format(
                name=dataset,
                category=category.lower(),
                sha256=sha256_bytes(archive),
                images=len(icons),
                domains="\n".join(f"  - {s}" for s in STYLES),
                cameras="\n".join(f"  {s}: {{{camera}}}" for s, camera in CAMERAS.items()),
                classes="\n".join(_class_line(s) for s in slugs),
            ),
        )
        totals["images"] += len(icons)
        totals["classes"] += len(slugs)
        print(f"{dataset}: {len(slugs)} classes, {len(icons)} icons, {len(archive):,} bytes")
    about = json.loads((folder / "collections.json").read_bytes())
    rows = "\n".join(_attribution_row(s, about[s]) for s in STYLES)
    write_text(
        here / "ATTRIBUTION.md",
        ATTRIBUTION.format(rows=rows, styles=len(STYLES), size=SIZE_PX, **totals),
    )


def class_name(slug: str) -> str:
    """Return the CLDR-like name of an icon's emoji, e.g. ``one-oclock`` -> ``one o'clock``."""
    if slug in NAMES or re.fullmatch(r"\w+-thirty", slug):
        return NAMES.get(slug, slug)
    return re.sub(r" oclock$", " o'clock", slug.replace("-", " "))


def _class_line(slug: str) -> str:
    name = class_name(slug)
    return f'  - "{name}"' if name == slug else f'  - {{name: "{name}", folder: "{slug}"}}'


def _attribution_row(style: str, about: dict[str, Any]) -> str:
    author, licence = about["author"], about["license"]
    return (
        f"| {style} | {about['name']} | {author['name']} | "
        f"[{licence['spdx']}]({licence['url']}) | {author['url']} |"
    )


def _joined(name: str) -> str:
    return name.replace("-", "")


def _smallest_png(image: Image.Image) -> bytes:
    """Encode losslessly: with a palette where 256 colours suffice, else as RGB."""
    buffer = io.BytesIO()
    palette = image.quantize(256, dither=Image.Dither.NONE)
    lossless = palette.convert("RGB").tobytes() == image.tobytes()
    (palette if lossless else image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, files[name])
    return buffer.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
