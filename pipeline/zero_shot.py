"""Stage ``zero_shot``: a method without training → results/<setting>/<method>/seed<k>/.

It draws nothing, so every seed's folder holds the same numbers.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from fedmvp.errors import ConfigError
from fedmvp.evaluation.personal import Models
from fedmvp.evaluation.sanity import check_inputs
from fedmvp.federation.head_start import start_head
from fedmvp.methods.build import load_method
from fedmvp.results.key import RunKey
from fedmvp.results.personal import write_personal
from fedmvp.results.record import write_record
from pipeline.support.outcome import evaluated
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
    method = context.create(0)

    def load_fold(fold: str) -> None:
        start_head(method, context.partition.clients_of(fold), context.banks, context.train_images)

    outcome = evaluated(context, method, load_fold)
    personal = context.params.evaluation.personal and personal_record(
        context, method, Models(lambda fold: None, None), model="untrained"
    )
    shutil.rmtree(RunKey(setting, name, 0).folder().parent, ignore_errors=True)
    for seed in context.params.run.seeds:
        folder = RunKey(setting, name, seed).folder()
        outcome.write(folder)
        outcome.write_metrics(folder)
        if personal:
            write_personal(folder, personal)
        write_record(folder, context.identity(seed, trained=False))
    print(f"{setting} {name}: {outcome.headline}")
    for warning in outcome.warnings:
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
