"""Files that ship beside a packaged backbone's weights, in fedmvp/clip/weights/<name>."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

__all__ = ["packaged_file"]


def packaged_file(backbone: str, name: str) -> Traversable | None:
    """Return a file of a backbone's folder; None where the package has none."""
    weights = resources.files("fedmvp.clip").joinpath("weights")
    # Names of other backbones may hold slashes, so a folder is looked for among those there are.
    folder = next((entry for entry in weights.iterdir() if entry.name == backbone), None)
    file = None if folder is None else folder.joinpath(name)
    return file if file is not None and file.is_file() else None
