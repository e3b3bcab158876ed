"""Training one method on one setting: a federation per fold, resumable.

Nothing here reads a test image: images are asked for by the ids of the clients' train lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.data.image_source import LoadImages
from fedmvp.federation.aggregation.robust import require_tolerance
from fedmvp.federation.backend import Backend, InProcessBackend
from fedmvp.federation.checkpoint import CheckpointFolder
from fedmvp.federation.client import ClientData
from fedmvp.federation.rounds import RoundReport, run_federation
from fedmvp.federation.states import MemoryStates, StateFolder, States
from fedmvp.federation.workers import Workers
from fedmvp.methods.banks import SelectClasses, TextBanks
from fedmvp.methods.base import Method
from fedmvp.partition.model import Client, Partition
from fedmvp.results.weights import tensor_name

__all__ = ["Progress", "TrainingResult", "client_data", "fold_backend", "train"]

Progress = Callable[[str, RoundReport], None]
"""Told the fold and what happened."""


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves.

    Parameters
    ----------
    tensors : dict of str to Tensor
        ``<fold>/<name>`` → global tensor after the last round; personal tensors of client c as
        ``<fold>/<name>@<c>``.
    rows : list of dict
        Of rounds.csv.
    failures : list of dict
    """

    tensors: dict[str, Tensor]
    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]]


def train(
    partition: Partition,
    create: Callable[[], Method],
    banks: TextBanks,
    load_images: LoadImages,
    federation: FederationParams,
    *,
    seed: int,
    scratch: Path | None = None,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> TrainingResult:
    """Run one federation per fold of the partition.

    Parameters
    ----------
    create : callable
        Makes the method with its initial tensors.
    scratch : Path, optional
        Folder of checkpoints; a run that finds its own goes on from there.
    workers : Workers, optional
        Processes to train clients in; this one by default.

    Raises
    ------
    ConfigError
        When a fold's rounds are too small for what the rule promises (`require_tolerance`).
    ClientFailure
        See `run_federation`.
    """
    for fold in partition.folds:
        require_tolerance(federation, len(partition.clients_of(fold)), fold)
    result = TrainingResult({}, [], [])
    for fold in partition.folds:
        method = create().to(banks.backbone.device)
        folder = scratch / fold if scratch else None
        states: States = MemoryStates(method.first_phase)
        if folder:
            states = StateFolder(folder / "states", method.first_phase, banks.backbone.device)
        here = fold_backend(partition, fold, method, banks, load_images, federation, seed, states)
        backend: Backend = workers.backend(fold, states) if workers else here
        initial = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
        outcome = run_federation(
            initial,
            backend,
            here.clients,
            federation,
            seed=seed,
            checkpoints=CheckpointFolder(folder) if folder else None,
            progress=partial(progress, fold) if progress else None,
            server=method.server(federation.rounds),
        )
        result.tensors.update({tensor_name(fold, name): t for name, t in outcome.tensors.items()})
        for client in here.clients:
            personal = states.before(client, federation.rounds).personal
            result.tensors.update({tensor_name(fold, k, client): t for k, t in personal.items()})
        result.rows.extend({"fold": fold, **row} for row in outcome.rows)
        result.failures.extend({"fold": fold, **failure} for failure in outcome.failures)
    return result


def fold_backend(
    partition: Partition,
    fold: str,
    method: Method,
    banks: TextBanks,
    load_images: LoadImages,
    federation: FederationParams,
    seed: int,
    states: States | None = None,
) -> InProcessBackend:
    """Return what trains the clients of one fold in this process."""
    clients = {client.id: client for client in partition.clients_of(fold)}

    def load(name: str) -> ClientData:
        return client_data(clients[name], banks, load_images)

    return InProcessBackend(method, load, list(clients), federation, seed, states)


def client_data(client: Client, banks: SelectClasses, load_images: LoadImages) -> ClientData:
    """Return a client's training images and the classes it trains among."""
    classes = banks.select(client.dataset, client.domain, client.classes)
    images, labels = load_images(client.dataset, client.train, classes.names)
    key = load_images.key(client.dataset, client.train)
    return ClientData(banks.backbone, images, labels, classes, key=key)
