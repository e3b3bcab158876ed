"""Stage ``train``: partition, texts, train images → results/<setting>/<method>/seed<k>/.

Writes rounds.csv, weights.safetensors, failures.json and run.json. Checkpoints of finished rounds
are in git-ignored scratch until then, so an interrupted stage resumes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext

from safetensors.torch import save

from fedmvp.csv_files import write_csv
from fedmvp.federation.aggregation.privacy import privacy_reports
from fedmvp.federation.checkpoint import CheckpointFolder
from fedmvp.federation.training import train
from fedmvp.files import remove_partial, write_bytes, write_json
from fedmvp.results.key import RunKey
from fedmvp.results.rounds import MULTI_ROUND_COLUMNS, ROUND_COLUMNS
from fedmvp.results.running import describe
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
            tensors = {name: tensor.cpu().contiguous() for name, tensor in result.tensors.items()}
            write_bytes(folder / "weights.safetensors", save(tensors))
            many = context.partition.task == "multi"
            columns = MULTI_ROUND_COLUMNS if many else ROUND_COLUMNS
            write_csv(folder / "rounds.csv", columns, result.rows)
            write_json(folder / "failures.json", result.failures)
            write_json(folder / "run.json", {**identity, **privacy})
        checkpoints.remove()


if __name__ == "__main__":
    run_stage(main)
