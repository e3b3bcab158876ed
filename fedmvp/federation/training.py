"""Training one method on one setting: a federation per fold, resumable.

Nothing here reads a test image: only ids in the clients' train lists are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from fedmvp.federation.states import MemoryStates, StateFolder, States
from fedmvp.federation.workers import Workers
from fedmvp.methods.banks import Banks
from fedmvp.methods.base import Method
from fedmvp.partition.model import Partition
from fedmvp.results.weights import round_name, tensor_name

__all__ = ["Progress", "TrainingResult", "fold_backend", "train"]

Progress = Callable[[str, RoundReport], None]
"""Called with the fold and what happened."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of training.

    Parameters
    ----------
    tensors : dict of str to Tensor
        ``<fold>/<name>`` → global tensor after the last round; personal tensors of client c as
        ``<fold>/<name>@<c>``; those of earlier kept rounds begin with ``round@<number>/``.
    rows : list of dict
        Rows of rounds.csv.
    failures : list of dict
    """

    tensors: dict[str, Tensor]
    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]]


def train(
    partition: Partition,
    create: Callable[[], Method],
    banks: Banks,
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
        Folder of checkpoints; a run that finds its own resumes from them.
    workers : Workers, optional
        Processes in which clients train; by default this one.

    Raises
    ------
    ConfigError
        When a fold has too few clients a round for the aggregation rule (`require_tolerance`).
    ClientFailure
        See `run_federation`.
    """
    for fold in partition.folds:
        require_tolerance(federation, len(partition.clients_of(fold)), fold)
    result = TrainingResult({}, [], [])
    for fold in partition.folds:
        method = create().to(banks.backbone.device)
        start_head(method, partition.clients_of(fold), banks, load_images)
        folder = scratch / fold if scratch else None
        states = _states(method, federation, folder)
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
        last = {
            client: states.before(client, federation.rounds).personal for client in here.clients
        }
        result.tensors.update(_named(fold, outcome.tensors, last))
        for index, tensors in outcome.earlier.items():
            own = {client: states.before(client, index + 1).personal for client in here.clients}
            named = _named(fold, tensors, own)
            result.tensors.update({round_name(index, name): t for name, t in named.items()})
        result.rows.extend({"fold": fold, **row} for row in outcome.rows)
        result.failures.extend({"fold": fold, **failure} for failure in outcome.failures)
    return result


def _states(method: Method, federation: FederationParams, folder: Path | None) -> States:
    """Return the clients' states, on disk if the run has a folder."""
    first_kept = federation.rounds - federation.kept_rounds + 1
    if folder is None:
        return MemoryStates(method.first_phase, first_kept)
    device = method.backbone.device
    return StateFolder(folder / "states", method.first_phase, device, first_kept)


def _named(
    fold: str, tensors: Mapping[str, Tensor], personal: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Return global and clients' tensors under their names in weights.safetensors."""
    named = {tensor_name(fold, name): tensor for name, tensor in tensors.items()}
    for client, own in personal.items():
        named |= {tensor_name(fold, name, client): tensor for name, tensor in own.items()}
    return named


def fold_backend(
    partition: Partition,
    fold: str,
    method: Method,
    banks: Banks,
    load_images: LoadImages,
    federation: FederationParams,
    seed: int,
    states: States | None = None,
) -> InProcessBackend:
    """Return a backend that trains the clients of one fold in this process."""
    clients = {client.id: client for client in partition.clients_of(fold)}

    def load(name: str) -> ClientData:
        return client_data(clients[name], banks, load_images, method.head)

    return InProcessBackend(method, load, list(clients), federation, seed, states)
