"""The round loop: select a cohort, run it, aggregate, log, checkpoint.

It knows neither the method nor where clients train. It resumes from the newest undamaged
checkpoint, and a resumed run gives the same bytes as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.errors import ClientFailure
from fedmvp.federation.aggregation.rules import Aggregator, check_global, check_update
from fedmvp.federation.backend import Backend
from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from fedmvp.federation.client import ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.schedule import cohort, learning_rate
from fedmvp.methods.server import MethodServer

__all__ = ["FederationResult", "RoundReport", "run_federation"]


@dataclass(frozen=True)
class RoundReport:
    """What the progress display receives after each client and round."""

    round_index: int
    client: int
    clients: int
    loss: float | None


@dataclass(frozen=True)
class FederationResult:
    """The global tensors that are evaluated after the last round, and the log.

    Parameters
    ----------
    tensors : dict of str to Tensor
    rows : list of dict
        One per selected client and round: round, client, phase, images, loss parts, accuracy,
        learning_rate, bytes_up, bytes_down.
    failures : list of dict
        Clients that gave no usable update: client, round_index, error, trace.
    earlier : dict of int to dict of str to Tensor
        The tensors evaluated after the earlier rounds that ``federation.kept_rounds`` asks for.
    """

    tensors: dict[str, Tensor]
    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    earlier: dict[int, dict[str, Tensor]]


def run_federation(
    initial: dict[str, Tensor],
    backend: Backend,
    clients: Sequence[str],
    federation: FederationParams,
    *,
    seed: int,
    checkpoints: CheckpointFolder | None = None,
    progress: Callable[[RoundReport], None] | None = None,
    server: MethodServer | None = None,
    noise_seed: int | None = None,
) -> FederationResult:
    """Train for ``federation.rounds`` rounds.

    Parameters
    ----------
    server : MethodServer, optional
        The method's server-side part; by default it does nothing.
    noise_seed : int, optional
        Seed of the differential-privacy noise, for a server whose clients know `seed`; by default
        `seed`.

    Raises
    ------
    ClientFailure
        When an update is unusable, fewer than ``min_clients`` are left in a round, or the new
        global model is not finite.
    """
    state = _begin(initial, checkpoints)
    aggregator = Aggregator(federation, state.server, seed if noise_seed is None else noise_seed)
    server = server or MethodServer()
    server.state.update(state.method)
    counted = {row["client"]: row["round"] + 1 for row in state.rows}
    for index in range(state.rounds_done, federation.rounds):
        rate = learning_rate(
            federation.schedule, federation.learning_rate, index, federation.rounds
        )
        chosen = cohort(clients, federation.participation, seed, index)
        good = _Collected(state, index, rate, len(chosen), federation, progress, server)
        extra = {client: server.download(client) for client in chosen}
        since = {client: counted.get(client, 0) for client in chosen}
        updates = good(backend.run(state.tensors, chosen, index, rate, extra, since))
        tensors = aggregator(state.tensors, updates, index, len(chosen))
        if len(good.counted) < federation.min_clients:
            raise ClientFailure(
                f"round {index} has {len(good.counted)} usable updates of {len(chosen)}",
                where="federation.min_clients",
                value=federation.min_clients,
                hint="see the failed clients above, or lower min_clients",
            )
        check_global(tensors, index)
        server.end_round(tensors, index)
        state.tensors = tensors
        state.method = server.state
        state.server = aggregator.state
        counted |= {client: index + 1 for client in good.counted}
        state.rounds_done = index + 1
        if federation.rounds - federation.kept_rounds <= index < federation.rounds - 1:
            kept = server.evaluated(tensors, index)
            state.earlier[index] = {name: tensor.clone() for name, tensor in kept.items()}
        if checkpoints:
            checkpoints.save(state)
    evaluated = server.evaluated(state.tensors, federation.rounds - 1)
    return FederationResult(evaluated, state.rows, state.failures, state.earlier)


def _begin(initial: dict[str, Tensor], checkpoints: CheckpointFolder | None) -> Checkpoint:
    """Return the newest checkpoint, or the initial state.

    Files hold tensors sorted by name and on the CPU; sums over tensors need the method's order.
    """
    found = checkpoints.newest() if checkpoints else None
    if found is None:
        return Checkpoint(0, dict(initial))
    state = found.to(next(iter(initial.values())).device)
    state.tensors = {name: state.tensors[name] for name in initial}
    return state


class _Collected:
    """Passes usable updates on to the aggregation, and logs each as it arrives."""

    def __init__(
        self,
        state: Checkpoint,
        index: int,
        rate: float,
        clients: int,
        federation: FederationParams,
        progress: Callable[[RoundReport], None] | None,
        server: MethodServer,
    ) -> None:
        self.state, self.index, self.rate, self.clients = state, index, rate, clients
        self.skip = federation.on_client_failure == "skip"
        self.progress = progress
        self.server = server
        self.counted: list[str] = []

    def __call__(self, results: Iterator[ClientUpdate | Failure]) -> Iterator[ClientUpdate]:
        for number, result in enumerate(results):
            update = self._checked(result)
            if self.progress:
                loss = update.metrics.get("loss") if update else None
                self.progress(RoundReport(self.index, number + 1, self.clients, loss))
            if update is None:
                continue
            self.counted.append(update.client)
            self.server.receive(update.client, update.tensors)
            self.state.rows.append(
                {
                    "round": self.index,
                    "client": update.client,
                    "phase": update.phase,
                    "images": update.images,
                    **update.metrics,
                    "learning_rate": self.rate,
                    "bytes_up": update.bytes_up,
                    "bytes_down": update.bytes_down,
                }
            )
            yield update

    def _checked(self, result: ClientUpdate | Failure) -> ClientUpdate | None:
        if isinstance(result, ClientUpdate):
            try:
                check_update(result, self.state.tensors)
                return result
            except ClientFailure as error:
                if not self.skip:
                    raise
                result = Failure.of(result.client, self.index, error)
        self.state.failures.append(asdict(result))
        return None
