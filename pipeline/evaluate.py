"""Stage ``evaluate``: learned tensors, test images → metrics.json, targets.csv, predictions.csv.

Also personal.json (``evaluation.personal``), explain.json and prompts.safetensors (some images).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from safetensors.torch import save

from fedmvp.csv_files import write_csv
from fedmvp.evaluation.explain import explain
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.protocol import evaluate
from fedmvp.evaluation.sanity import below_chance, check_inputs
from fedmvp.federation.client import load_tensors
from fedmvp.files import write_bytes, write_json
from fedmvp.results.key import RunKey
from fedmvp.results.predictions import TargetPredictions, write_predictions
from fedmvp.results.targets import TARGET_COLUMNS
from fedmvp.results.weights import fold_tensors, personal_tensors, read_weights
from pipeline.support.client_models import trained_record
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage, stage_arguments, stage_seed


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Evaluate one trained run."""
    setting, name, word = stage_arguments(arguments, "SETTING", "METHOD", "SEED")
    seed, context = stage_seed(word), RunContext(setting, name)
    check_inputs(context.partition, context.test_images.manifests)
    folder = RunKey(setting, name, seed).folder()
    tensors = read_weights(folder / "weights.safetensors")
    context.tell_resources(context.params.evaluation.batch_size, training=False)
    method = context.create(seed)
    parts = (
        context.partition,
        method,
        lambda fold: load_tensors(method, fold_tensors(method, tensors, fold)),
        context.banks,
        context.test_images,
    )
    params = context.params.evaluation

    def load_personal(fold: str, client: str) -> None:
        # A client that was never selected has the initial tensors.
        load_tensors(method, fold_tensors(method, tensors, fold))
        load_tensors(method, personal_tensors(tensors, fold, client))

    predicted: list[TargetPredictions] = []
    rows = evaluate(
        *parts, batch_size=params.batch_size, load_personal=load_personal, record=predicted.append
    )
    write_csv(folder / "targets.csv", TARGET_COLUMNS, rows)
    write_predictions(folder / "predictions.csv", predicted)
    explained = explain(*parts, images=params.explain_images)
    write_json(folder / "explain.json", {"images": explained.images})
    write_bytes(folder / "prompts.safetensors", save(explained.prompts))
    write_json(folder / "personal.json", trained_record(context, method, tensors, seed))
    metrics = metrics_of(context.partition.protocol, rows, context.partition.official)
    write_json(folder / "metrics.json", metrics)
    print(f"{setting} {name} seed {seed}: " + _headline(metrics))
    for target in below_chance(rows):
        print(f"warning: {target}", file=sys.stderr)


def _headline(metrics: dict[str, float]) -> str:
    keys = [key for key in ("local", "base", "new", "hm", "mean") if key in metrics]
    return ", ".join(f"{key} {100 * metrics[key]:.2f} %" for key in keys)


if __name__ == "__main__":
    run_stage(main)
