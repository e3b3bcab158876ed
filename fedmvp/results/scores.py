"""scores.safetensors: the logit of every image and class, and what the image shows.

Every number of targets.csv and metrics.json can be recomputed from it with scikit-learn alone. It
contains, for each part (a target, or a client's validation images), ``<part>/scores`` as float32
and ``<part>/labels`` as int8 (1 shown, 0 absent, -1 ignored), both [N, K]. The file's metadata has
the names of images and classes, in the order of rows and columns.

Shapes: N images of a part, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmvp.errors import DataError
from fedmvp.files import write_bytes
from fedmvp.partition.model import Target
from fedmvp.results.cells import RERUN

__all__ = ["VALIDATION", "TargetScores", "read_scores", "write_scores"]

VALIDATION = "validation"
"""Group of the parts on which a threshold was chosen; they are named after their clients."""

_NOTE = "fedmvp"


@dataclass(frozen=True)
class TargetScores:
    """A method's scores for a part's images.

    Parameters
    ----------
    target : Target
        Its group is `VALIDATION` for a client's validation images.
    scores : ndarray of float32, shape [N, K]
        Logits: above 0, the class's probability is more than 0.5.
    labels : ndarray of int8, shape [N, K]
        1 shown, 0 absent, -1 ignored.
    """

    target: Target
    scores: NDArray[np.float32]
    labels: NDArray[np.int8]

    @property
    def part(self) -> str:
        """Name of the part in the file."""
        target = self.target
        return "/".join([target.fold, target.group, target.dataset, target.name])


def write_scores(path: Path, found: Iterable[TargetScores]) -> None:
    """Write scores.safetensors; equal scores give equal bytes."""
    from safetensors.numpy import save

    arrays, names = {}, {}
    for part in found:
        arrays[f"{part.part}/scores"] = np.ascontiguousarray(part.scores)
        arrays[f"{part.part}/labels"] = np.ascontiguousarray(part.labels)
        names[part.part] = {"images": part.target.images, "classes": part.target.classes}
    note = json.dumps(names, sort_keys=True, ensure_ascii=False)
    write_bytes(path, save(arrays, metadata={_NOTE: note}))


def read_scores(path: Path) -> tuple[TargetScores, ...]:
    """Read scores.safetensors, parts in the order of their names; empty where there are none.

    Raises
    ------
    DataError
        When the file is damaged, or arrays and names do not belong together.
    """
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
        arrays = load(content)
        length = int.from_bytes(content[:8], "little")
        names = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_NOTE])
        return tuple(_part(name, names[name], arrays) for name in sorted(names))
    except Exception as error:  # parsers of untrusted bytes raise many kinds
        raise DataError(
            f"not a file of scores ({type(error).__name__}: {error})", where=path, hint=RERUN
        ) from None


def _part(
    name: str, known: dict[str, list[str]], arrays: dict[str, NDArray[np.generic]]
) -> TargetScores:
    fold, group, dataset, own = name.split("/", 3)
    images, classes = tuple(known["images"]), tuple(known["classes"])
    scores, labels = arrays[f"{name}/scores"], arrays[f"{name}/labels"]
    if scores.shape != (len(images), len(classes)) or labels.shape != scores.shape:
        raise ValueError(f"{name} has {scores.shape} scores and {labels.shape} labels")
    target = Target(own, fold, group, dataset, None, classes, images)
    return TargetScores(target, scores.astype(np.float32), labels.astype(np.int8))
