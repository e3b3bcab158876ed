"""Stage ``evaluate``: learned tensors, test images → metrics.json, targets.csv, predictions.csv.

Also scores.safetensors (scores of all classes: of images that show many, and on request),
personal.json (``evaluation.personal``), explain.json and prompts.safetensors (some images).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fedmvp.evaluation.explain import explain
from fedmvp.evaluation.sanity import check_inputs
from fedmvp.federation.client import load_tensors
from fedmvp.results.explained import write_explained
from fedmvp.results.files import WEIGHTS
from fedmvp.results.key import RunKey
from fedmvp.results.personal import write_personal
from fedmvp.results.weights import fold_tensors, personal_tensors, read_weights
from pipeline.support.client_models import trained_record
from pipeline.support.outcome import evaluated
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage, stage_arguments, stage_seed


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Evaluate one trained run."""
    setting, name, word = stage_arguments(arguments, "SETTING", "METHOD", "SEED")
    seed, context = stage_seed(word), RunContext(setting, name)
    check_inputs(context.partition, context.test_images.manifests)
    folder = RunKey(setting, name, seed).folder()
    tensors = read_weights(folder / WEIGHTS)
    params = context.params.evaluation
    context.tell_resources(params.batch_size, training=False)
    method = context.create(seed)

    def load_fold(fold: str) -> None:
        load_tensors(method, fold_tensors(method, tensors, fold))

    def load_personal(fold: str, client: str) -> None:
        # A client that was never selected has the initial tensors.
        load_fold(fold)
        load_tensors(method, personal_tensors(tensors, fold, client))

    outcome = evaluated(context, method, load_fold, load_personal)
    outcome.write(folder)
    explained = explain(
        context.partition,
        method,
        load_fold,
        context.banks,
        context.test_images,
        images=params.explain_images,
    )
    write_explained(folder, explained.images, explained.prompts)
    write_personal(folder, trained_record(context, method, tensors, seed))
    outcome.write_metrics(folder)
    print(f"{setting} {name} seed {seed}: {outcome.headline}")
    for warning in outcome.warnings:
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
