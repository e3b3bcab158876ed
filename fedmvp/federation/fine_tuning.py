"""Local fine-tuning: a client continues to train the last global model on its own images."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.federation.client import ClientData, ClientState, train_client
from fedmvp.methods.base import Method

__all__ = ["fine_tune"]


def fine_tune(
    method: Method,
    client: str,
    data: ClientData,
    tensors: Mapping[str, Tensor],
    personal: Mapping[str, Tensor],
    federation: FederationParams,
    *,
    epochs: int,
    seed: int,
) -> None:
    """Turn `method` into the client's model after `epochs` more passes, with nothing averaged.

    The method's own federation section applies, with its initial learning rate, a fresh
    optimizer and no FedProx term. Random draws are those of the round after the last.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The global model after the last round.
    personal : mapping of str to Tensor
        What the client kept to itself; empty for most methods.

    Raises
    ------
    ClientFailure
        When the loss is not finite.
    """
    phase = method.fine_tuning_phase or method.first_phase
    alone = {"local_epochs": epochs, "client_state": "fresh", "aggregation": "fedavg"}
    train_client(
        method,
        client,
        data,
        tensors,
        ClientState(phase, personal=dict(personal)),
        federation.model_copy(update=alone),
        learning_rate=federation.learning_rate,
        seed=seed,
        round_index=federation.rounds,
    )
