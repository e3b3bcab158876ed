"""Stage ``zero_shot``: a method without training → results/<setting>/<method>/seed<k>/.

It draws nothing, so every seed's folder holds the same numbers.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from fedmvp.csv_files import write_csv
from fedmvp.errors import ConfigError
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.personal import Models
from fedmvp.evaluation.protocol import evaluate
from fedmvp.evaluation.sanity import below_chance, check_inputs
from fedmvp.files import write_json
from fedmvp.methods.build import load_method
from fedmvp.results.key import RunKey
from fedmvp.results.predictions import TargetPredictions, write_predictions
from fedmvp.results.targets import TARGET_COLUMNS
from pipeline.support.personal import personal_record
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage, stage_arguments


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Evaluate one method that is not trained."""
    setting, name = stage_arguments(arguments, "SETTING", "METHOD")
    context = RunContext(setting, name)
    if load_method(name).trained:
        raise ConfigError(
            "method needs training",
            where="params.yaml: run.zero_shot",
            value=name,
            hint="list it under run.trained",
        )
    check_inputs(context.partition, context.test_images.manifests)
    context.tell_resources(context.params.evaluation.batch_size, training=False)
    predicted: list[TargetPredictions] = []
    method = context.create(0)
    rows = evaluate(
        context.partition,
        method,
        lambda fold: None,
        context.banks,
        context.test_images,
        batch_size=context.params.evaluation.batch_size,
        record=predicted.append,
    )
    personal = context.params.evaluation.personal and personal_record(
        context, method, Models(lambda fold: None, None), model="untrained"
    )
    metrics = metrics_of(context.partition.protocol, rows, context.partition.official)
    shutil.rmtree(RunKey(setting, name, 0).folder().parent, ignore_errors=True)
    for seed in context.params.run.seeds:
        folder = RunKey(setting, name, seed).folder()
        write_csv(folder / "targets.csv", TARGET_COLUMNS, rows)
        write_predictions(folder / "predictions.csv", predicted)
        write_json(folder / "metrics.json", metrics)
        if personal:
            write_json(folder / "personal.json", personal)
        write_json(folder / "run.json", context.identity(seed, trained=False))
    print(
        f"{setting} {name}: "
        + ", ".join(
            f"{key} {100 * metrics[key]:.2f} %"
            for key in ("local", "base", "new", "hm", "mean")
            if key in metrics
        )
    )
    for target in below_chance(rows):
        print(f"warning: {target}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
