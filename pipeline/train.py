"""Stage ``train``: partition, texts, train images → results/<setting>/<method>/seed<k>/.

Writes rounds.csv, weights.safetensors, failures.json and run.json. Checkpoints of finished rounds
are in git-ignored scratch until then, so an interrupted stage resumes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext

from fedmvp.federation.aggregation.privacy import privacy_reports
from fedmvp.federation.checkpoint import CheckpointFolder
from fedmvp.federation.training import train
from fedmvp.files import remove_partial
from fedmvp.results.key import RunKey
from fedmvp.results.record import write_record
from fedmvp.results.rounds import write_failures, write_rounds
from fedmvp.results.running import describe
from fedmvp.results.weights import write_weights
from pipeline.support.live import live_view, live_wanted
from pipeline.support.progress import TrainingDisplay
from pipeline.support.run_context import RunContext, scratch_folder
from pipeline.support.stage import run_stage, stage_arguments, stage_seed
from pipeline.support.workers import open_workers


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Train one method on one setting with one seed."""
    setting, method, number = stage_arguments(arguments, "SETTING", "METHOD", "SEED")
    seed, live = stage_seed(number), live_wanted()
    context = RunContext(setting, method)
    federation = context.federation
    identity = context.identity(seed, trained=True)
    privacy = privacy_reports(context.partition, federation)
    context.tell_resources(federation.batch_size, training=True)
    checkpoints = CheckpointFolder(scratch_folder(identity["fingerprint"]))
    folder = RunKey(setting, method, seed).folder()
    with checkpoints.held(federation.rounds * len(context.partition.folds)):
        remove_partial(folder)
        title = f"{setting} {method} seed {seed}"
        describe(checkpoints.path, title, federation.rounds, context.partition.folds)
        with live_view(identity, context.partition.folds, checkpoints.path, wanted=live):
            with (
                TrainingDisplay(title, context.partition, federation) as display,
                open_workers(setting, method, seed) or nullcontext() as workers,
            ):
                result = train(
                    context.partition,
                    lambda: context.create(seed),
                    context.banks,
                    context.train_images,
                    federation,
                    seed=seed,
                    scratch=checkpoints.path,
                    progress=display.update,
                    workers=workers,
                )
            write_weights(folder, result.tensors)
            write_rounds(folder, result.rows, multi=context.partition.task == "multi")
            write_failures(folder, result.failures)
            write_record(folder, {**identity, **privacy})
        checkpoints.remove()


if __name__ == "__main__":
    run_stage(main)
