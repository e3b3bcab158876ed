"""Initial values of a multi-label head's two numbers (docs/multilabel.md#head).

Each client sends four sums once: the sum of the cosines the untrained method gives its images and
their number, the number of labels it knows to be positive, and the number of labels it knows. The
server needs nothing else, so this works under secure aggregation, too.

Shapes: B images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedmvp.data.image_source import LoadImages
from fedmvp.errors import DataError
from fedmvp.federation.client import ClientData
from fedmvp.federation.client_images import client_data
from fedmvp.methods.banks import Banks
from fedmvp.methods.base import Method
from fedmvp.methods.frozen_image import FrozenImageMethod, frozen_batch
from fedmvp.methods.multilabel_head import MultiLabelHead
from fedmvp.partition.model import Client

__all__ = ["HeadSums", "client_sums", "start_head", "start_with"]

_IMAGES, _BATCH = 32, 16
"""How many images of a client are used for the sums, and how many are processed at once."""


@dataclass(frozen=True)
class HeadSums:
    """What a client sends; the server adds them up over clients.

    Parameters
    ----------
    similarity : float
        Sum of pooled cosines over images and classes.
    compared : int
        Number of these cosines.
    positive, known : int
        Pairs of image and class known to be positive; pairs whose label is known at all.
    """

    similarity: float = 0.0
    compared: int = 0
    positive: int = 0
    known: int = 0

    def __add__(self, other: HeadSums) -> HeadSums:
        """Return the sums over both."""
        return HeadSums(
            self.similarity + other.similarity,
            self.compared + other.compared,
            self.positive + other.positive,
            self.known + other.known,
        )


def start_head(
    method: Method, clients: Sequence[Client], banks: Banks, load_images: LoadImages
) -> None:
    """Set the head's b from the clients' label prior and mean cosine; a single-label head has none.

    Raises
    ------
    DataError
        When no client knows a positive label, or none knows a negative one.
    """
    if not isinstance(method.head, MultiLabelHead):
        return
    sums = HeadSums()
    for client in clients:
        sums += client_sums(method, client_data(client, banks, load_images, method.head))
    start_with(method, sums)


def start_with(method: Method, sums: HeadSums) -> None:
    """Set the head's b from all clients' sums.

    Raises
    ------
    DataError
        See `start_head`.
    """
    assert isinstance(method.head, MultiLabelHead)
    if not 0 < sums.positive < sums.known:
        raise DataError(
            "the clients know no positive label, or no negative one",
            where="partition",
            value=f"{sums.positive} positive of {sums.known} known",
            hint="lower `missing` or raise `known` of partition.annotations",
        )
    method.head.start(sums.similarity / sums.compared, sums.positive / sums.known)


def client_sums(method: Method, data: ClientData) -> HeadSums:
    """Return a client's sums, computed with the method's present tensors."""
    head = method.head
    assert isinstance(head, MultiLabelHead)
    method.enter(None)
    similarity, compared = 0.0, 0
    for start in range(0, min(_IMAGES, len(data)), _BATCH):
        cosines = _cosines(method, head, data, start)
        similarity += float(cosines.double().sum())
        compared += cosines.numel()
    positive, known = int((data.labels == 1).sum()), int((data.labels != -1).sum())
    return HeadSums(similarity, compared, positive, known)


@torch.no_grad()
def _cosines(method: Method, head: MultiLabelHead, data: ClientData, start: int) -> Tensor:
    """Return the pooled cosines of some images, [B, K]."""
    rows = np.arange(start, min(start + _BATCH, _IMAGES, len(data)))
    batch = data.batch(rows, torch.Generator())  # nothing is drawn
    if isinstance(method, FrozenImageMethod):
        return head.similarities(method.scores(frozen_batch(batch), data.classes))
    return head.similarities(method.logits(batch.images, data.classes))
