"""Charts of which classes each client's images show together: classes by classes, dark if often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fedmvp.data.manifest import Manifest
from fedmvp.partition.model import Partition
from fedmvp.report.figures import Figure
from fedmvp.report.label_skew import conditional_difference, marginal_divergence, pair_counts
from fedmvp.report.svg_marks import coordinate, open_svg, rule
from fedmvp.wording import plural

__all__ = ["LabelPairs", "label_pairs", "pair_grid"]

_SIDE = 220.0
# Number of shades from white to the darkest; cells of one shade share a path.
_SHADES = 8
_MOST_CLIENTS = 12


@dataclass(frozen=True)
class LabelPairs:
    """The panels of one dataset, and how much its clients differ.

    Attributes
    ----------
    panels : list of Figure
        Charts of the clients, then of the test images.
    clients : int
        Number of clients; at most 12 are drawn.
    divergence, conditional : float
        See `fedmvp.report.label_skew`; NaN for a single client.
    """

    dataset: str
    panels: list[Figure]
    clients: int
    divergence: float
    conditional: float


def label_pairs(partition: Partition, manifests: Mapping[str, Manifest]) -> list[LabelPairs]:
    """Return the panels of each dataset of the first fold; none for single-label images."""
    if partition.task == "single":
        return []
    clients = partition.clients_of(partition.folds[0])
    return [
        _pairs(partition, manifests[dataset], dataset)
        for dataset in dict.fromkeys(client.dataset for client in clients)
    ]


def _pairs(partition: Partition, manifest: Manifest, dataset: str) -> LabelPairs:
    clients = [c for c in partition.clients_of(partition.folds[0]) if c.dataset == dataset]
    classes = clients[0].classes
    images = [(client, (*client.train, *client.validation)) for client in clients]
    counts = [pair_counts(manifest.label_matrix(own, classes)) for _, own in images]
    order = _order(counts)
    panels = [
        _panel(client.id, len(own), classes, table, order)
        for (client, own), table in zip(images[:_MOST_CLIENTS], counts, strict=False)
    ]
    for target in partition.targets:
        if target.group == "global" and target.dataset == dataset:
            table = pair_counts(manifest.label_matrix(target.images, classes))
            panels.append(_panel("test images", len(target.images), classes, table, order))
    return LabelPairs(
        dataset, panels, len(clients), marginal_divergence(counts), conditional_difference(counts)
    )


def _order(counts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Order classes by the client where they are most frequent, so that skew forms blocks."""
    shares = np.stack([np.diag(own) / max(int(np.trace(own)), 1) for own in counts])
    return np.lexsort((np.arange(shares.shape[1]), shares.argmax(axis=0)))


def _panel(
    name: str,
    images: int,
    classes: Sequence[str],
    counts: NDArray[np.int64],
    order: NDArray[np.int64],
) -> Figure:
    apart = counts - np.diag(np.diag(counts))
    i, j = divmod(int(apart.argmax()), len(apart))
    most = int(apart[i, j])
    title = f"{name}: {plural(images, 'image')}"
    told = f"{title}; {plural(len(classes), 'class')}"
    if most:
        told += f"; most often together: {classes[i]} and {classes[j]}, {plural(most, 'image')}"
    return Figure(title, pair_grid(told, apart[np.ix_(order, order)]))


def pair_grid(title: str, counts: NDArray[Any]) -> Markup:
    """Draw a square table of counts as cells, darker with the square root of the count.

    Parameters
    ----------
    counts : ndarray of int, shape [K, K]
        The highest count is the darkest.
    """
    size = len(counts)
    step = _SIDE / size
    most = max(int(counts.max()), 1)
    shades = np.ceil(np.sqrt(counts / most) * _SHADES).astype(np.int64)
    parts = [open_svg(title, _SIDE + 2, _SIDE + 2)]
    for shade in range(1, _SHADES + 1):
        cells = "".join(
            f"M{coordinate(1 + step * column)} {coordinate(1 + step * (row + 0.5))}"
            f"h{coordinate(step)}"
            for row, column in np.argwhere(shades == shade).tolist()
        )
        if cells:
            opacity = f"{shade / _SHADES:.2f}"
            parts.append(
                f'<path class="pair" stroke-opacity="{opacity}"'
                f' stroke-width="{coordinate(step)}" d="{cells}"/>'
            )
    edge = _SIDE + 1
    for ends in ((1, 1, edge, 1), (1, edge, edge, edge), (1, 1, 1, edge), (edge, 1, edge, edge)):
        parts.append(rule(*ends))
    return Markup("".join(parts) + "</svg>")  # noqa: S704  every text in it went through escape
