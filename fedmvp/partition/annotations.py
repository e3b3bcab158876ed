"""The labels annotators give a client's images: all, only some pairs, or too few positives.

`known: q` and `missing: p` are different things. With the first, an (image, class) pair is known
with probability q and otherwise left out of loss and counts: partial labels. With the second, a
positive is recorded as a negative with probability p: noise, FedMPT's "mask"
(docs/multilabel.md).

Draws depend only on dataset, image and class, so the same pairs are hidden whichever client owns
the image. Test images are not affected.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedmvp.config import AnnotationParams
from fedmvp.data.label_sets import IGNORED
from fedmvp.data.manifest import Manifest
from fedmvp.seeds import numpy_generator

__all__ = ["annotate", "read_annotations"]

_SIGNS = {1: "1", 0: "0", IGNORED: "?"}


def annotate(
    manifest: Manifest,
    images: Sequence[str],
    classes: Sequence[str],
    params: AnnotationParams,
    seed: int,
) -> tuple[str, ...]:
    """Return the annotation of each image: ``1``, ``0`` or ``?`` for each class."""
    columns = [manifest.classes.index(name) for name in classes]
    rows = []
    for image, truth in zip(images, manifest.label_matrix(images, classes), strict=True):
        generator = numpy_generator(seed, "annotations", manifest.dataset, image)
        draw = generator.random(len(manifest.classes))[columns]
        said = truth.copy()
        if params.known is not None:
            said[draw >= params.known] = IGNORED
        if params.missing is not None:
            said[(truth == 1) & (draw < params.missing)] = 0
        rows.append("".join(_SIGNS[int(sign)] for sign in said))
    return tuple(rows)


def read_annotations(texts: Sequence[str]) -> NDArray[np.int8]:
    """Return the signs of some images as a label matrix, [N, K] of 1, 0 and -1."""
    values = {sign: value for value, sign in _SIGNS.items()}
    return np.array([[values[sign] for sign in text] for text in texts], dtype=np.int8)
