"""explain.json, the attention of some test images' patches to attributes, and their prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmvp.errors import DataError
from fedmvp.files import read_json, write_bytes, write_json
from fedmvp.results.cells import RERUN
from fedmvp.results.files import EXPLAINED, PROMPTS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AttributeMap", "ExplainedImage", "read_explained", "write_explained"]


@dataclass(frozen=True)
class AttributeMap:
    """How strongly each image patch attends to one attribute: `weights` in raster order."""

    class_name: str
    text: str
    weights: tuple[float, ...]


@dataclass(frozen=True)
class ExplainedImage:
    """An image with the attention of its patches, `grid` = (rows, columns)."""

    image_id: str
    dataset: str
    class_name: str
    predicted: str
    grid: tuple[int, int]
    attributes: tuple[AttributeMap, ...]


def write_explained(
    folder: Path, images: Sequence[Mapping[str, Any]], prompts: Mapping[str, Tensor] | None = None
) -> None:
    """Write explain.json, and prompts.safetensors where there are any."""
    write_json(folder / EXPLAINED, {"images": list(images)})
    if prompts is not None:
        from safetensors.torch import save

        write_bytes(folder / PROMPTS, save(dict(prompts)))


def read_explained(path: Path) -> tuple[ExplainedImage, ...]:
    """Read explain.json; empty for a run without that file.

    Raises
    ------
    DataError
        When an entry is malformed.
    """
    if not path.exists():
        return ()
    try:
        return tuple(_image(item) for item in read_json(path)["images"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"malformed entry ({type(error).__name__}: {error})", where=path, hint=RERUN
        ) from None


def _image(item: Mapping[str, Any]) -> ExplainedImage:
    rows, columns = (int(size) for size in item["grid"])
    maps = tuple(
        AttributeMap(str(a["class"]), str(a["text"]), tuple(float(w) for w in a["weights"]))
        for a in item["attributes"]
    )
    for attribute in maps:
        if len(attribute.weights) != rows * columns:
            raise ValueError(f"{len(attribute.weights)} weights on a {rows}x{columns} grid")
    return ExplainedImage(
        image_id=str(item["id"]),
        dataset=str(item["dataset"]),
        class_name=str(item["class"]),
        predicted=str(item["predicted"]),
        grid=(rows, columns),
        attributes=maps,
    )
