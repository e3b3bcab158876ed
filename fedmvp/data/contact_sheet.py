"""A sheet of a dataset's images, classes by domains, before and after the domains' cameras."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fedmvp.data.images import load_images, raw_folder
from fedmvp.data.manifest import Image as Entry
from fedmvp.data.manifest import Manifest

__all__ = ["contact_sheet"]

_FONT_PX, _LINE_PX = 12, 15
_MARGIN_PX, _GAP_PX, _CLASS_GAP_PX = 10, 4, 12
_NAME_PX, _STAGE_PX = 104, 46
"""Widths of the columns with the classes' names and with "before" and "after"."""
_LABEL_PX, _LABEL_LINES = 76, 4
"""Least width of a domain's column, so that its label can be read, and the label's lines."""
_STAGE_COLOUR = (120, 120, 120)

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def contact_sheet(
    clean: Manifest,
    seen: Manifest,
    *,
    classes: int = 4,
    cell_px: int = 64,
    folder_of: Callable[[str], Path] = raw_folder,
) -> Image.Image:
    """Draw one image for each of some classes and every domain, on white.

    Domains are columns. A class is two rows, before and after the cameras of `seen`; one row where
    `seen` has no cameras. Classes are those found in the most domains, spread evenly over the class
    list; one gives way to a class of a domain that would have no image. A train image is shown
    where there is one, and nothing where there is no image at all.

    Parameters
    ----------
    clean, seen : Manifest
        The same images without and with cameras.
    classes : int
        How many to show, at least 1; all, where there are fewer.
    cell_px : int
        Side of an image in pixels: the size it is decoded at.
    folder_of : callable
        See `load_images`.

    Returns
    -------
    PIL.Image.Image
        RGB, the same for the same arguments.

    Raises
    ------
    DataError
        When an image cannot be decoded.
    SourceError
        See `raw_folder`.
    """
    stages = (("before", clean), ("after", seen)) if seen.capture else (("", seen),)
    examples = _examples(seen)
    labels = _in_every_domain(examples, _spread(examples, classes))
    font = ImageFont.load_default(size=_FONT_PX)
    label_px = max(cell_px, _LABEL_PX)
    headers = [_lines(domain, label_px, _LABEL_LINES, font) for domain in seen.domains]
    column_px = label_px + _GAP_PX
    row_px = max(cell_px, _LINE_PX) + _GAP_PX
    left = _MARGIN_PX + _NAME_PX + (_STAGE_PX if seen.capture else 0)
    top = _MARGIN_PX + max(map(len, headers)) * _LINE_PX + _GAP_PX
    class_px = len(stages) * row_px + _CLASS_GAP_PX
    size = (left + len(headers) * column_px + _MARGIN_PX, top + len(labels) * class_px)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, lines in enumerate(headers):
        # The last line stands on the images.
        y = top - _GAP_PX - len(lines) * _LINE_PX
        _write(draw, (left + column * column_px, y), lines, font)
    for row, label in enumerate(labels):
        y = top + row * class_px
        most = max(1, len(stages) * row_px // _LINE_PX)
        name = _lines(seen.classes[label], _NAME_PX - _GAP_PX, most, font)
        _write(draw, (_MARGIN_PX, y), name, font)
        shown = {d: examples[label, d] for d in seen.domains if (label, d) in examples}
        ids = [entry.id for entry in shown.values()]
        for stage, (word, manifest) in enumerate(stages):
            place = (_MARGIN_PX + _NAME_PX, y + stage * row_px)
            _write(draw, place, [word], font, _STAGE_COLOUR)
            pixels = load_images(manifest, ids, cell_px, "all", folder_of)
            for domain, image in zip(shown, pixels, strict=True):
                x = left + seen.domains.index(domain) * column_px
                sheet.paste(Image.fromarray(image), (x, place[1]))
    return sheet


def _examples(manifest: Manifest) -> dict[tuple[int, str], Entry]:
    """Return an image for each label and domain that has one: the first, of train if possible."""
    examples: dict[tuple[int, str], Entry] = {}
    for image in manifest.images:
        for label in image.labels:
            known = examples.setdefault((label, image.domain), image)
            if known.split != "train" and image.split == "train":
                examples[label, image.domain] = image
    return examples


def _spread(examples: dict[tuple[int, str], Entry], count: int) -> list[int]:
    """Return labels found in the most domains, evenly over the class list and in its order."""
    domains = Counter(label for label, _ in examples)
    chosen: list[int] = []
    for number in sorted(set(domains.values()), reverse=True):
        chosen += (label for label in domains if domains[label] == number)
        if len(chosen) >= count:
            break
    chosen.sort()
    count = min(count, len(chosen))
    return [chosen[(2 * i + 1) * len(chosen) // (2 * count)] for i in range(count)]


def _in_every_domain(examples: dict[tuple[int, str], Entry], labels: list[int]) -> list[int]:
    """Return labels with as many replaced as it takes, and can be, to show every domain."""
    of: dict[int, set[str]] = {}
    for label, domain in examples:
        of.setdefault(label, set()).add(domain)

    def shown(those: list[int]) -> set[str]:
        return {domain for label in those for domain in of[label]}

    for domain in sorted(shown(list(of)) - shown(labels)):
        rests = [[y for y in labels if y != x] for x in labels]
        spared = [rest for rest in rests if shown(rest) == shown(labels)]
        if domain not in shown(labels) and spared:
            taken = max((x for x in of if domain in of[x]), key=lambda x: len(of[x]))
            labels = sorted([*spared[-1], taken])
    return labels


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    lines: list[str],
    font: _Font,
    colour: tuple[int, int, int] = (0, 0, 0),
) -> None:
    x, y = place
    for number, line in enumerate(lines):
        draw.text((x, y + number * _LINE_PX), line, fill=colour, font=font)


def _lines(text: str, width_px: int, most: int, font: _Font) -> list[str]:
    """Break a name at spaces, hyphens and underscores; what does not fit ends in an ellipsis."""
    lines = [""]
    for piece in re.findall(r"[^\s_-]*[\s_-]*", text):
        longer = lines[-1] + piece
        if not lines[-1] or font.getlength(longer.rstrip()) <= width_px:
            lines[-1] = longer
        else:
            lines.append(piece)
    lines = [line.rstrip() for line in lines]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]}…"]
    return [_cut(line, width_px, font) for line in lines]


def _cut(line: str, width_px: int, font: _Font) -> str:
    while font.getlength(line) > width_px:
        line = f"{line.removesuffix('…')[:-1]}…"
    return line
