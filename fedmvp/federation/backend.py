"""Who runs a cohort: the seam between the round loop and the place clients compute.

The in-process backend trains one client after the other in a shared workspace. Its memory does not
grow with the number of clients beyond what each client keeps (its phase; its momentum if
``client_state: persistent``): of the data, that of the clients trained last is held.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.errors import FedMVPError
from fedmvp.federation.aggregation.rules import check_update
from fedmvp.federation.client import ClientData, ClientState, ClientUpdate, train_client
from fedmvp.federation.failures import Failure
from fedmvp.methods.base import Method

__all__ = ["Backend", "InProcessBackend"]

# Clients whose data is held. It comes back from the caches on disk, so this bounds memory (frozen
# features, about 1 MB a client on ViT-B/16) and costs a federation of fewer clients nothing.
_HELD = 256


class Backend(Protocol):
    """Runs the clients of a round."""

    states: dict[str, ClientState]

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update, in the order of `clients`.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            The global ones, sent to all.
        extra : mapping of client to mapping of str to Tensor, optional
            What single clients are sent beside them.

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
        Maps a client id to its data; called again for a client whose data was let go.
    clients : sequence of str
    federation : FederationParams
    seed : int
    """

    def __init__(
        self,
        method: Method,
        load: Callable[[str], ClientData],
        clients: Sequence[str],
        federation: FederationParams,
        seed: int,
    ) -> None:
        self.method = method
        self.load = load
        self.federation = federation
        self.seed = seed
        self.states = {client: ClientState(method.first_phase) for client in clients}
        self._data: dict[str, ClientData] = {}

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update in turn; see `Backend.run`."""
        skip = self.federation.on_client_failure == "skip"
        for client in clients:
            # Training changes the state's tensors in place: a failed client goes back to a copy.
            before = copy.deepcopy(self.states[client]) if skip else None
            try:
                own = (extra or {}).get(client, {})
                yield self._train(client, tensors, round_index, learning_rate, own)
            except (FedMVPError, RuntimeError, ValueError, OSError) as error:
                if before is None:
                    error.add_note(f"client {client}, round {round_index}")
                    raise
                self.states[client] = before
                yield Failure.of(client, round_index, error)

    def _train(
        self,
        client: str,
        tensors: Mapping[str, Tensor],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Tensor],
    ) -> ClientUpdate:
        data = self._data.pop(client) if client in self._data else self.load(client)
        self._data[client] = data  # the last entry is the one used last
        if len(self._data) > _HELD:
            del self._data[next(iter(self._data))]
        update = train_client(
            self.method,
            client,
            data,
            tensors,
            self.states[client],
            self.federation,
            learning_rate=learning_rate,
            seed=self.seed,
            round_index=round_index,
            extra=extra,
        )
        check_update(update, tensors)  # here, where a refused client can still go back
        return update
