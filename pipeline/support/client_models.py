"""The clients' models of a trained run, as the personal evaluation wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fedmvp.evaluation.personal import Models
from fedmvp.federation.client import load_tensors
from fedmvp.federation.client_images import client_data
from fedmvp.federation.fine_tuning import fine_tune
from fedmvp.federation.schedule import never_selected
from fedmvp.methods.base import Method
from fedmvp.results.weights import fold_tensors, personal_tensors
from pipeline.support.personal import personal_record
from pipeline.support.run_context import RunContext

__all__ = ["trained_record"]


def trained_record(
    context: RunContext, method: Method, tensors: Mapping[str, Tensor], seed: int
) -> dict[str, Any]:
    """Return personal.json of a trained run; empty without ``evaluation.personal``.

    A client's model is the global one with what the client kept to itself; under
    ``evaluation.fine_tune_epochs`` it goes on training on its own images first.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Of weights.safetensors.
    """
    if not context.params.evaluation.personal:
        return {}
    epochs, partition = context.params.evaluation.fine_tune_epochs, context.partition
    clients = {client.id: client for client in partition.clients}

    def load_global(fold: str) -> None:
        load_tensors(method, fold_tensors(method, tensors, fold))

    def load_client(fold: str, client: str) -> None:
        # A client that was never selected has the initial tensors.
        load_global(fold)
        load_tensors(method, personal_tensors(tensors, fold, client))
        method.enter(method.first_phase)

    def tune_client(fold: str, client: str) -> None:
        # Fine-tuning starts at the initial tensors, too, where a client has none of its own.
        load_global(fold)
        data = client_data(clients[client], context.banks, context.train_images, method.head)
        fine_tune(
            method,
            client,
            data,
            fold_tensors(method, tensors, fold),
            personal_tensors(tensors, fold, client),
            context.federation,
            epochs=epochs,
            seed=seed,
        )

    load = load_client if method.personal else None
    words = "aggregated_and_own" if method.personal else "aggregated"
    federation = context.federation
    idle = (
        never_selected(
            [client.id for client in partition.clients_of(fold)],
            federation.participation,
            seed,
            federation.rounds,
        )
        for fold in partition.folds
    )
    return personal_record(
        context,
        method,
        Models(load_global, tune_client if epochs else load),
        model="fine_tuned" if epochs else words,
        fine_tune_epochs=epochs,
        never_selected=sum(map(len, idle)),
    )
