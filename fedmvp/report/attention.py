"""Attention of image patches to attributes, drawn over the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from fedmvp.heat_map import heat_opacity
from fedmvp.report.label_answers import LabelAnswer, label_answers
from fedmvp.report.pictures import data_uri
from fedmvp.report.study import Study
from fedmvp.results.explained import AttributeMap, ExplainedImage

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Gallery", "ImageLoader", "Map", "Plate", "galleries"]

# From (dataset, image id) to the image, square as the model saw it: PIL, or PNG or JPEG bytes.
ImageLoader = Callable[[str, str], "Image.Image | bytes"]

_MOST_IMAGES = 6
_MOST_MAPS = 8


@dataclass(frozen=True)
class Map:
    """An overlay, its attribute, and the ratio of its peak to the mean."""

    class_name: str
    text: str
    peak: float
    svg: Markup


@dataclass(frozen=True)
class Plate:
    """An image with its overlays; `answers` lists its classes where images show many."""

    image: ExplainedImage
    svg: Markup
    maps: tuple[Map, ...]
    answers: tuple[LabelAnswer, ...] = ()


@dataclass(frozen=True)
class Gallery:
    """The plates of one method in one setting; `total` includes those not shown."""

    setting: str
    method: str
    seed: int
    plates: tuple[Plate, ...]
    total: int


def galleries(
    study: Study, load_image: ImageLoader, results_dir: Path
) -> tuple[list[Gallery], Markup]:
    """Return the galleries and the hidden definitions their images are drawn from.

    Every image is embedded once, whatever the number of its overlays. The lowest seed of a method
    is shown.

    Raises
    ------
    DataError
        When `load_image` returns bytes that are neither PNG nor JPEG.
    """
    names: dict[tuple[str, str], str] = {}
    found = []
    for setting, scores in study.scores.items():
        for method in scores.methods:
            runs = [run for run in study.runs_of(setting, method) if run.explained]
            if runs:
                shown = runs[0].explained[:_MOST_IMAGES]
                for image in shown:
                    names.setdefault((image.dataset, image.image_id), f"image-{len(names) + 1}")
                many = study.partitions[setting].task == "multi"
                answers = label_answers(runs[0], shown, results_dir) if many else {}
                plates = tuple(
                    _plate(i, names[i.dataset, i.image_id], answers.get(i.image_id, ()))
                    for i in shown
                )
                total = len(runs[0].explained)
                found.append(Gallery(setting, method, runs[0].seed, plates, total))
    images = "".join(
        f'<image id="{name}" width="1" height="1" preserveAspectRatio="none"'
        f' href="{data_uri(load_image(*key), "/".join(key))}"/>'
        for key, name in names.items()
    )
    # Safe: bytes are base64, and the names are made here.
    hidden = f'<svg class="definitions" aria-hidden="true"><defs>{images}</defs></svg>'
    return found, Markup(hidden if images else "")  # noqa: S704


def _plate(image: ExplainedImage, name: str, answers: tuple[LabelAnswer, ...]) -> Plate:
    maps = tuple(_map(image.grid, a, name) for a in image.attributes[:_MOST_MAPS])
    picture = _picture(f"{image.class_name}, image of {image.dataset}", (1, 1), name, "")
    return Plate(image, picture, maps, answers)


def _map(grid: tuple[int, int], attribute: AttributeMap, name: str) -> Map:
    weights = attribute.weights
    high = max(weights)
    mean = sum(weights) / len(weights)
    peak = high / mean if mean > 0 else 1.0
    title = f"{attribute.text}: peak {peak:.1f} times the mean"
    heat = _heat(grid, weights) if high > min(weights) else ""
    return Map(attribute.class_name, attribute.text, peak, _picture(title, grid, name, heat))


def _heat(grid: tuple[int, int], weights: Sequence[float]) -> str:
    cells = []
    for index, strength in enumerate(heat_opacity(weights)):
        y, x = divmod(index, grid[1])
        opacity = f"{strength:.2f}".lstrip("0")
        if opacity != ".00":
            cells.append(f'<rect x="{x}" y="{y}" width="1" height="1" fill-opacity="{opacity}"/>')
    return f'<g class="heat">{"".join(cells)}</g>'


def _picture(title: str, grid: tuple[int, int], name: str, heat: str) -> Markup:
    rows, columns = grid
    # The image's own colours could be mistaken for attention.
    grey = ' class="grey"' if heat else ""
    # Safe: the title is escaped, the rest is numbers and names made here.
    return Markup(  # noqa: S704
        f'<svg class="picture" viewBox="0 0 {columns} {rows}" role="img"'
        f' aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<use{grey} href="#{name}" transform="scale({columns} {rows})"/>{heat}</svg>'
    )
