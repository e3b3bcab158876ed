"""Personal evaluation: one matrix of accuracies, and every number computed from it.

Its rows are models: each client's, and the global one. Its columns are test images: each client's,
and the base, new and other targets of its dataset. The diagonal is *personal*, the global model's
row is *global*, and the other entries are *neighbour* (docs/personal_evaluation.md).

Shapes: U clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, pstdev
from typing import Any, Literal

from fedmvp.data.image_source import LoadImages
from fedmvp.data.manifest import Manifest
from fedmvp.evaluation.images import EvaluationImages
from fedmvp.evaluation.protocol import classify
from fedmvp.methods.banks import Banks
from fedmvp.methods.base import Method
from fedmvp.partition.model import Client, Partition, Target

__all__ = ["GLOBAL_MODEL", "Models", "Score", "accuracy_matrix", "fairness", "personal_numbers"]

GLOBAL_MODEL = "global"
"""Stands for a client's id in the rows of the global model."""

Mean = Literal["unweighted", "weighted"]


@dataclass(frozen=True)
class Models:
    """How to load one of the models into the method.

    Parameters
    ----------
    load_global : callable
        Called with a fold.
    load_client : callable or None
        Called with a fold and a client's id. None: clients have no model of their own, so the
        global model is used for each.
    """

    load_global: Callable[[str], None]
    load_client: Callable[[str, str], None] | None


@dataclass(frozen=True)
class Score:
    """An entry of the matrix: how many images of a column a model classified correctly.

    Attributes
    ----------
    model : str
        A client's id, or `GLOBAL_MODEL`.
    kind : str
        "client" for a client's own images; else the group of the target: base, new, target, source.
    target : str
        The client whose images they are, or the target's name.
    classes : int
        Number of candidate classes.
    """

    fold: str
    dataset: str
    model: str
    kind: str
    target: str
    classes: int
    images: int
    correct: int

    @property
    def accuracy(self) -> float:
        """The share of images classified correctly."""
        return self.correct / self.images

    def record(self) -> dict[str, Any]:
        """Return the entry as it is written to personal.json."""
        return {**asdict(self), "accuracy": self.accuracy}


def accuracy_matrix(
    partition: Partition,
    manifests: Mapping[str, Manifest],
    method: Method,
    models: Models,
    banks: Banks,
    load_images: LoadImages,
    *,
    candidates: Literal["own", "all"],
    batch_size: int,
    diagonal: bool = False,
) -> list[Score]:
    """Return the accuracy of each client's model, and of the global one, on each column.

    A client's model is tested on the columns of its own fold and dataset. Clients without test
    images have a row and no column.

    Parameters
    ----------
    candidates : {"own", "all"}
        Candidate classes for a client's images: those the client has images of, or those that any
        client of its fold and dataset has images of.
    diagonal : bool, default=False
        Leave out all but each client's own images, in its own row and in the global model's.

    Raises
    ------
    DataError
        See `fedmvp.evaluation.protocol.evaluate`.
    """
    columns = {
        (fold, dataset): _columns(partition, fold, manifests[dataset], candidates)
        for fold in partition.folds
        for dataset in dict.fromkeys(client.dataset for client in partition.clients_of(fold))
    }
    if diagonal:
        columns = {key: [t for t in own if t.group == "local"] for key, own in columns.items()}
    every = [target for found in columns.values() for target in found]
    images = EvaluationImages(every, load_images, method.backbone, batch_size, method.head)
    scores: list[Score] = []

    def row(model: str, targets: Sequence[Target]) -> Iterator[Score]:
        for target in targets:
            found = classify(method, target, banks, images, batch_size)
            kind = "client" if target.group == "local" else target.group
            yield Score(
                target.fold,
                target.dataset,
                model,
                kind,
                target.name,
                len(target.classes),
                len(target.images),
                found.correct,
            )

    def met(client: str, target: str) -> bool:
        return not diagonal or target == client

    for fold in partition.folds:
        models.load_global(fold)
        method.enter(None)
        shared = {
            key: list(row(GLOBAL_MODEL, targets))
            for key, targets in columns.items()
            if key[0] == fold
        }
        scores += [score for found in shared.values() for score in found]
        for client in partition.clients_of(fold):
            key = fold, client.dataset
            if models.load_client is None:
                own = [score for score in shared[key] if met(client.id, score.target)]
                scores += [replace(score, model=client.id) for score in own]
                continue
            chosen = [target for target in columns[key] if met(client.id, target.name)]
            if chosen:
                models.load_client(fold, client.id)
                scores += row(client.id, chosen)
    return scores


def _columns(partition: Partition, fold: str, manifest: Manifest, candidates: str) -> list[Target]:
    """Return the clients' images with their candidate classes, then the dataset's other targets."""
    clients = [c for c in partition.clients_of(fold) if c.dataset == manifest.dataset]
    targets = [t for t in partition.targets_of(fold) if t.dataset == manifest.dataset]
    local = {target.name: target for target in targets if target.group == "local"}
    own = {c.id: _shown(c, local.get(c.id), manifest) for c in clients}
    union = frozenset[str]().union(*own.values())
    columns = []
    for client in clients:
        if client.id in local:
            chosen = own[client.id] if candidates == "own" else union
            classes = tuple(name for name in manifest.classes if name in chosen)
            columns.append(replace(local[client.id], classes=classes))
    return [*columns, *(target for target in targets if target.group != "local")]


def _shown(client: Client, target: Target | None, manifest: Manifest) -> frozenset[str]:
    """Return the classes a client has images of."""
    images = (*client.train, *(target.images if target else ()))
    return frozenset(manifest.classes[manifest.image(image).label] for image in images)


def fairness(values: Sequence[float], tenths: int = 1) -> dict[str, float]:
    """Return how evenly accuracy is spread over U clients.

    Parameters
    ----------
    tenths : int
        Tenths of the clients, rounded up, that count as the worst and as the best.

    Returns
    -------
    dict
        std (ddof 0), worst and best (mean of the ⌈U · tenths / 10⌉ lowest and highest), minimum and
        maximum.

    Examples
    --------
    >>> found = fairness([i / 10 for i in range(1, 11)])
    >>> round(found["std"], 4), found["worst"]
    (0.2872, 0.1)
    """
    ordered = sorted(values)
    count = -(-len(ordered) * tenths // 10)
    return {
        "std": pstdev(ordered),
        "worst": fmean(ordered[:count]),
        "best": fmean(ordered[-count:]),
        "minimum": ordered[0],
        "maximum": ordered[-1],
    }


def personal_numbers(scores: Sequence[Score], mean: Mean) -> dict[str, Any]:
    """Return the numbers computed from the matrix; empty if no client has test images.

    Parameters
    ----------
    mean : {"unweighted", "weighted"}
        Mean over clients: each counts equally, or by its test images (all correct over all images).

    Returns
    -------
    dict
        ``global``, ``personal``, ``neighbour`` (of a client's model, the mean over the other
        clients' images), ``personal_<kind>`` for base, new and other targets; and `fairness` of the
        global model and of the clients' own as ``fairness``.
    """
    own = [s for s in scores if s.kind == "client" and s.model == s.target]
    shared = [s for s in scores if s.kind == "client" and s.model == GLOBAL_MODEL]
    beside: dict[str, list[Score]] = {}
    for score in scores:
        if score.kind == "client" and score.model not in (GLOBAL_MODEL, score.target):
            beside.setdefault(score.model, []).append(score)
    if not own:
        return {}
    numbers = {"global": _mean(shared, mean), "personal": _mean(own, mean)}
    if beside:
        # First each client's mean over its neighbours; then clients count equally in either mean.
        numbers["neighbour"] = fmean(_mean(found, mean) for found in beside.values())
    for kind in dict.fromkeys(score.kind for score in scores if score.kind != "client"):
        others = [s for s in scores if s.kind == kind and s.model != GLOBAL_MODEL]
        numbers[f"personal_{kind}"] = _mean(others, mean)
    return {
        "numbers": numbers,
        "fairness": {
            name: fairness([score.accuracy for score in found])
            for name, found in (("global", shared), ("personal", own))
        },
    }


def _mean(scores: Sequence[Score], mean: Mean) -> float:
    if mean == "weighted":
        return sum(s.correct for s in scores) / sum(s.images for s in scores)
    return fmean(score.accuracy for score in scores)
