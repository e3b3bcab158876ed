"""Where the two numbers of a multi-label head start (docs/multilabel.md#head).

Each client sends four sums once: of the cosines the untrained method gives its images, of the
labels it knows to be positive, and their counts. The server needs nothing else, so this works
under secure aggregation, too.

Shapes: B images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

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

__all__ = ["start_head"]

_IMAGES, _BATCH = 32, 16
"""Images of a client whose cosines are summed, and how many go through together."""


def start_head(
    method: Method, clients: Sequence[Client], banks: Banks, load_images: LoadImages
) -> None:
    """Set the head's b from the clients' label prior and mean cosine; nothing for one class.

    Raises
    ------
    DataError
        When no client knows of a positive label, or of a negative one.
    """
    head = method.head
    if not isinstance(head, MultiLabelHead):
        return
    method.enter(None)
    similarity, compared, positive, known = 0.0, 0, 0, 0
    for client in clients:
        data = client_data(client, banks, load_images, head)
        positive += int((data.labels == 1).sum())
        known += int((data.labels != -1).sum())
        for start in range(0, min(_IMAGES, len(data)), _BATCH):
            cosines = _cosines(method, head, data, start)
            similarity += float(cosines.double().sum())
            compared += cosines.numel()
    if not 0 < positive < known:
        raise DataError(
            "the clients know of no positive label, or of no negative one",
            where="partition",
            value=f"{positive} positive of {known} known",
            hint="lower `missing` or raise `known` of partition.annotations",
        )
    head.start(similarity / compared, positive / known)


@torch.no_grad()
def _cosines(method: Method, head: MultiLabelHead, data: ClientData, start: int) -> Tensor:
    """Return the pooled cosines of some images, [B, K]."""
    rows = np.arange(start, min(start + _BATCH, _IMAGES, len(data)))
    batch = data.batch(rows, torch.Generator())  # nothing is drawn
    if isinstance(method, FrozenImageMethod):
        return head.similarities(method.scores(frozen_batch(batch), data.classes))
    return head.similarities(method.logits(batch.images, data.classes))
