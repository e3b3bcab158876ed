"""The personal evaluation of one result: the content of personal.json."""

from __future__ import annotations

from typing import Any

from fedmvp.evaluation.personal import Models, Score, accuracy_matrix, personal_numbers
from fedmvp.methods.base import Method
from pipeline.support.run_context import RunContext

__all__ = ["own_numbers", "personal_record"]


def personal_record(
    context: RunContext,
    method: Method,
    models: Models,
    *,
    model: str,
    fine_tune_epochs: int = 0,
    never_selected: int = 0,
) -> dict[str, Any]:
    """Return personal.json: the choices, the numbers, and the matrix they are computed from.

    Parameters
    ----------
    model : str
        Which model of a client is tested, in a word.
    never_selected : int
        Clients that no round of their fold trained.
    """
    params, partition = context.params.evaluation, context.partition
    scores = _scores(context, method, models)
    tested = {score.target for score in scores if score.kind == "client"}
    return {
        "choices": {
            "model": model,
            "fine_tune_epochs": fine_tune_epochs,
            "images": partition.scheme or "class_blocks",
            "candidates": params.candidates,
            "client_mean": params.client_mean,
            "round": "last",
        },
        "clients": {
            "all": len(partition.clients),
            "without_test_images": sum(client.id not in tested for client in partition.clients),
            "never_selected": never_selected,
        },
        **personal_numbers(scores, params.client_mean),
        "matrix": [score.record() for score in scores],
    }


def own_numbers(context: RunContext, method: Method, models: Models) -> dict[str, float]:
    """Return the numbers on each client's own images; empty where none has test images."""
    scores = _scores(context, method, models, diagonal=True)
    found = personal_numbers(scores, context.params.evaluation.client_mean)
    numbers: dict[str, float] = found.get("numbers", {})
    return numbers


def _scores(
    context: RunContext, method: Method, models: Models, *, diagonal: bool = False
) -> list[Score]:
    params = context.params.evaluation
    return accuracy_matrix(
        context.partition,
        context.manifests,
        method,
        models,
        context.banks,
        context.test_images,
        candidates=params.candidates,
        batch_size=params.batch_size,
        diagonal=diagonal,
    )
