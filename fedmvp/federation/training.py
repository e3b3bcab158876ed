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
from fedmvp.federation.client_images import client_data
from fedmvp.federation.head_start import start_head
from fedmvp.federation.rounds import RoundReport, run_federation
from fedmvp.federation.workers import Workers
from fedmvp.methods.banks import TextBanks
from fedmvp.methods.base import Method
from fedmvp.partition.model import Partition
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
        start_head(method, partition.clients_of(fold), banks, load_images)
        here = fold_backend(partition, fold, method, banks, load_images, federation, seed)
        backend: Backend = workers.backend(fold, here.states) if workers else here
        clients = list(here.states)
        initial = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
        outcome = run_federation(
            initial,
            backend,
            clients,
            federation,
            seed=seed,
            checkpoints=CheckpointFolder(scratch / fold) if scratch else None,
            progress=partial(progress, fold) if progress else None,
            server=method.server(federation.rounds),
        )
        result.tensors.update({tensor_name(fold, name): t for name, t in outcome.tensors.items()})
        for client, state in backend.states.items():
            personal = {tensor_name(fold, name, client): t for name, t in state.personal.items()}
            result.tensors.update(personal)
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
) -> InProcessBackend:
    """Return what trains the clients of one fold in this process."""
    clients = {client.id: client for client in partition.clients_of(fold)}

    def load(name: str) -> ClientData:
        return client_data(clients[name], banks, load_images, method.head)

    return InProcessBackend(method, load, list(clients), federation, seed)
