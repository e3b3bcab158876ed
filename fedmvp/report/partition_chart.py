"""Charts of how many training images of each class clients have, as the area of discs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from fedmvp.data.manifest import Manifest
from fedmvp.partition.model import Client, Partition
from fedmvp.partition.setting_spec import MAIN_FOLD
from fedmvp.report.figures import Figure
from fedmvp.report.protocols import fold_text
from fedmvp.report.svg import area_grid
from fedmvp.report.svg_marks import label_width
from fedmvp.wording import plural

__all__ = ["partition_panels", "partition_svg"]

# The page's colours, for a chart outside the page.
_STYLE = (
    "text{font:11px sans-serif;fill:#444}.disc{stroke:#2b6cb0;stroke-linecap:round;fill:none}"
    ".grid{stroke:#ccc;fill:none}"
)
_HEADING = 20.0


def partition_panels(
    partition: Partition, manifests: Mapping[str, Manifest], *, folds: Sequence[str] | None = None
) -> list[Figure]:
    """Return a panel for each fold and dataset.

    Parameters
    ----------
    manifests : mapping of str to Manifest
        Manifests of every dataset that clients train on.
    folds : sequence of str, optional
        The folds to draw; all by default.
    """
    panels = []
    chosen = partition.folds if folds is None else folds
    left = label_width(_label(one) for fold in chosen for one in partition.clients_of(fold))
    for fold in chosen:
        clients = partition.clients_of(fold)
        for dataset in dict.fromkeys(client.dataset for client in clients):
            own = [client for client in clients if client.dataset == dataset]
            where = dataset if fold == MAIN_FOLD else f"{dataset}, fold {fold_text(fold)}"
            panels.append(_panel(where, own, manifests[dataset], left))
    return panels


def _label(client: Client) -> str:
    return client.id.removeprefix(f"{client.fold}.")


def _panel(where: str, clients: Sequence[Client], manifest: Manifest, left: float) -> Figure:
    found = [
        Counter(label for image in client.train for label in manifest.image(image).labels)
        for client in clients
    ]
    labels = sorted({label for counts in found for label in counts})
    rows = [[counts[label] for label in labels] for counts in found]
    names = [_label(client) for client in clients]
    most = max(max(row) for row in rows)
    title = (
        f"{where}: {plural(len(clients), 'client')}, {plural(len(labels), 'class')}, at most "
        f"{plural(most, 'image')} of one"
    )
    return Figure(title, area_grid(title, names, rows, "classes in label order", left))


def partition_svg(partition: Partition, manifests: Mapping[str, Manifest]) -> str:
    """Return the panels of all folds below each other as one SVG file."""
    parts, y, width = [], 0.0, 0.0
    for panel in partition_panels(partition, manifests):
        size = str(panel.svg).split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()
        wide, high = float(size[0]), float(size[1])
        title = Markup.escape(panel.title)
        parts.append(f'<text x="4" y="{y + 14:.1f}">{title}</text>')
        inner = str(panel.svg).replace(
            "<svg ", f'<svg y="{y + _HEADING:.1f}" width="{wide:g}" height="{high:.1f}" ', 1
        )
        parts.append(inner)
        y, width = y + _HEADING + high + 8, max(width, wide)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {y:.1f}"'
        f' width="{width:g}" height="{y:.1f}"><style>{_STYLE}</style>'
        '<rect width="100%" height="100%" fill="#fff"/>' + "".join(parts) + "</svg>\n"
    )
