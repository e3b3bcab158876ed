"""What runs a cohort: the interface between the round loop and the place where clients train.

What a client keeps from round to round stays where it trains (`fedmvp.federation.states`): the
loop says which of its rounds counted, and never sees a momentum or a personal tensor.

The in-process backend trains one client after the other in a shared workspace. Its memory does not
grow with the number of clients: states are on disk where the run has a folder, and only the data
of the clients that trained last is kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.errors import FedMVPError
from fedmvp.federation.aggregation.rules import check_update
from fedmvp.federation.client import ClientData, ClientState, ClientUpdate, train_client
from fedmvp.federation.failures import Failure
from fedmvp.federation.states import MemoryStates, States
from fedmvp.methods.base import Method

__all__ = ["Backend", "InProcessBackend"]

# Number of clients whose data is kept in memory. Other clients' data is read again from the caches
# on disk. This bounds memory (frozen features take about 1 MB a client on ViT-B/16).
_HELD = 256


class Backend(Protocol):
    """Runs the clients of a round."""

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update, in the order of `clients`.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            The global tensors, sent to all clients.
        extra : mapping of client to mapping of str to Tensor, optional
            What single clients are sent in addition.
        since : mapping of client to int, optional
            Each client continues from the state it had before this round, which is the one after
            its last round whose update was used; 0 if there is none. By default `round_index`.

        A client that fails raises, or yields a `Failure` under ``on_client_failure: skip``.
        """
        ...


class InProcessBackend:
    """Trains clients one by one in this process.

    Parameters
    ----------
    method : Method
        Workspace; overwritten by every client.
    load : callable
        Maps a client id to its data; called again for a client whose data was dropped.
    clients : sequence of str
    federation : FederationParams
    seed : int
    states : States, optional
        In memory by default.
    """

    def __init__(
        self,
        method: Method,
        load: Callable[[str], ClientData],
        clients: Sequence[str],
        federation: FederationParams,
        seed: int,
        states: States | None = None,
    ) -> None:
        self.method = method
        self.load = load
        self.clients = tuple(clients)
        self.federation = federation
        self.seed = seed
        self.states = states or MemoryStates(method.first_phase)
        self._data: dict[str, ClientData] = {}

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update in turn; see `Backend.run`."""
        for client in clients:
            start, state = self.states.start(client, round_index, since)
            own = (extra or {}).get(client, {})
            result = self.train(client, state, tensors, round_index, learning_rate, own)
            # A client that failed continues from its old state: nothing of its attempt is kept.
            if isinstance(result, ClientUpdate):
                self.states.keep(client, state, since=start, after=round_index + 1)
            yield result

    def train(
        self,
        client: str,
        state: ClientState,
        tensors: Mapping[str, Tensor],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Tensor],
    ) -> ClientUpdate | Failure:
        """Train one client; `state` is changed in place, and is valid only after an update.

        A client that fails raises, or returns a `Failure` under ``on_client_failure: skip``.
        """
        try:
            data = self._data.pop(client) if client in self._data else self.load(client)
            self._data[client] = data  # entries are in order of their last use
            if len(self._data) > _HELD:
                del self._data[next(iter(self._data))]
            update = train_client(
                self.method,
                client,
                data,
                tensors,
                state,
                self.federation,
                learning_rate=learning_rate,
                seed=self.seed,
                round_index=round_index,
                extra=extra,
            )
            check_update(update, tensors)  # before its new state is kept
            return update
        except (FedMVPError, RuntimeError, ValueError, OSError) as error:
            if self.federation.on_client_failure != "skip":
                error.add_note(f"client {client}, round {round_index}")
                raise
            return Failure.of(client, round_index, error)
