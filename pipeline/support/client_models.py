"""The clients' models of a trained run, as the personal evaluation needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from torch import Tensor

from fedmvp.evaluation.personal import Models
from fedmvp.federation.client import load_tensors
from fedmvp.federation.client_images import client_data
from fedmvp.federation.fine_tuning import fine_tune
from fedmvp.federation.schedule import never_selected
from fedmvp.methods.base import Method
from fedmvp.results.weights import earlier_rounds, fold_tensors, personal_tensors
from pipeline.support.personal import own_numbers, personal_record
from pipeline.support.run_context import RunContext

__all__ = ["trained_record"]


def trained_record(
    context: RunContext, method: Method, tensors: Mapping[str, Tensor], seed: int
) -> dict[str, Any]:
    """Return personal.json of a trained run; empty without ``evaluation.personal``.

    A client's model is the global one with the client's personal tensors. With
    ``evaluation.fine_tune_epochs``, the record ``fine_tuned`` is for models trained further on
    their client's images. ``stability`` is the mean of the first model's scores over kept rounds.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors of weights.safetensors.
    """
    params, federation = context.params.evaluation, context.federation
    if not params.personal:
        return {}
    partition = context.partition
    idle = sum(
        len(
            never_selected(
                [client.id for client in partition.clients_of(fold)],
                federation.participation,
                seed,
                federation.rounds,
            )
        )
        for fold in partition.folds
    )
    last = _Trained(context, method, tensors, seed)
    record = personal_record(
        context,
        method,
        last.models(),
        model="aggregated_and_own" if method.personal else "aggregated",
        never_selected=idle,
    )
    if federation.kept_rounds > 1:
        rounds = [*earlier_rounds(tensors), tensors]
        record["stability"] = _stability(
            [
                own_numbers(context, method, _Trained(context, method, kept, seed).models())
                for kept in rounds
            ]
        )
    chosen = params.fine_tuned is None or context.method in params.fine_tuned
    if params.fine_tune_epochs and chosen:
        record["fine_tuned"] = personal_record(
            context,
            method,
            last.models(params.fine_tune_epochs),
            model="fine_tuned",
            fine_tune_epochs=params.fine_tune_epochs,
            never_selected=idle,
        )
    return record


def _stability(numbers: list[dict[str, float]]) -> dict[str, Any]:
    """Return the mean of each number over rounds, each with equal weight."""
    return {
        "rounds": len(numbers),
        "numbers": {name: fmean(found[name] for found in numbers) for name in numbers[-1]},
    }


@dataclass(frozen=True)
class _Trained:
    """The tensors after one round: the global ones and the clients' own."""

    context: RunContext
    method: Method
    tensors: Mapping[str, Tensor]
    seed: int

    def models(self, epochs: int = 0) -> Models:
        """Return the clients' models, fine-tuned where `epochs` are given."""
        if epochs:
            return Models(self._load_global, lambda fold, name: self._tune(fold, name, epochs))
        return Models(self._load_global, self._load_client if self.method.personal else None)

    def _load_global(self, fold: str) -> None:
        load_tensors(self.method, fold_tensors(self.method, self.tensors, fold))

    def _load_client(self, fold: str, client: str) -> None:
        # A client that was never selected has the initial tensors.
        self._load_global(fold)
        load_tensors(self.method, personal_tensors(self.tensors, fold, client))
        self.method.enter(self.method.first_phase)

    def _tune(self, fold: str, name: str, epochs: int) -> None:
        # Where a client has no tensors of its own, fine-tuning starts from the initial ones.
        self._load_global(fold)
        client = next(one for one in self.context.partition.clients if one.id == name)
        fine_tune(
            self.method,
            name,
            client_data(client, self.context.banks, self.context.train_images, self.method.head),
            fold_tensors(self.method, self.tensors, fold),
            personal_tensors(self.tensors, fold, name),
            self.context.federation,
            epochs=epochs,
            seed=self.seed,
        )
