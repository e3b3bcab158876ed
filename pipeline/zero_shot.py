"""Stage ``zero_shot``: a method without training → results/<setting>/<method>/seed<k>/.

It draws nothing, so every seed's folder holds the same numbers.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from fedmvp.errors import ConfigError
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.personal import Models
from fedmvp.evaluation.predictions import TargetPredictions, write_predictions
from fedmvp.evaluation.protocol import TARGET_COLUMNS, evaluate
from fedmvp.evaluation.sanity import below_chance, check_inputs
from fedmvp.files import write_csv, write_json
from fedmvp.methods import load_method
from pipeline.personal import personal_record
from pipeline.stage import run_stage, stage_words
from pipeline.workbench import Workbench, result_folder


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Evaluate one method that is not trained."""
    setting, name = stage_words(arguments, "SETTING", "METHOD")
    bench = Workbench(setting, name)
    if load_method(name).trained:
        raise ConfigError("method needs training", where="params.yaml: run.zero_shot", value=name,
                          hint="list it under run.trained")  # fmt: skip
    check_inputs(bench.partition, bench.test_images.manifests)
    bench.tell_needs(bench.params.evaluation.batch_size, training=False)
    predicted: list[TargetPredictions] = []
    method = bench.create(0)
    rows = evaluate(
        bench.partition,
        method,
        lambda fold: None,
        bench.banks,
        bench.test_images,
        batch_size=bench.params.evaluation.batch_size,
        record=predicted.append,
    )
    personal = bench.params.evaluation.personal and personal_record(
        bench, method, Models(lambda fold: None, None), model="untrained"
    )
    metrics = metrics_of(bench.partition.protocol, rows, bench.partition.official)
    shutil.rmtree(result_folder(setting, name, 0).parent, ignore_errors=True)
    for seed in bench.params.run.seeds:
        folder = result_folder(setting, name, seed)
        write_csv(folder / "targets.csv", TARGET_COLUMNS, rows)
        write_predictions(folder / "predictions.csv", predicted)
        write_json(folder / "metrics.json", metrics)
        if personal:
            write_json(folder / "personal.json", personal)
        write_json(folder / "run.json", bench.identity(seed, trained=False))
    print(f"{setting} {name}: " + ", ".join(
        f"{key} {100 * metrics[key]:.2f} %"
        for key in ("local", "base", "new", "hm", "mean") if key in metrics))  # fmt: skip
    for target in below_chance(rows):
        print(f"warning: {target}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
