"""Stage ``train``: partition, texts, train images → results/<setting>/<method>/seed<k>/.

Writes rounds.csv, weights.safetensors, failures.json and run.json. Checkpoints of finished rounds
stand in git-ignored scratch until then, so an interrupted stage goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext

from safetensors.torch import save

from fedmvp.federation.checkpoint import CheckpointFolder
from fedmvp.federation.privacy import privacy_reports
from fedmvp.federation.training import ROUND_COLUMNS, train
from fedmvp.files import remove_partial, write_bytes, write_csv, write_json
from pipeline.display import TrainingDisplay
from pipeline.live import live_view, live_wanted
from pipeline.stage import run_stage, stage_seed, stage_words
from pipeline.workbench import Workbench, result_folder, scratch_folder
from pipeline.workers import open_workers


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Train one method on one setting with one seed."""
    setting, method, number = stage_words(arguments, "SETTING", "METHOD", "SEED")
    seed, live = stage_seed(number), live_wanted()
    bench = Workbench(setting, method)
    federation = bench.federation
    identity = bench.identity(seed, trained=True)
    privacy = privacy_reports(bench.partition, federation)
    bench.tell_needs(federation.batch_size, training=True)
    checkpoints = CheckpointFolder(scratch_folder(identity["fingerprint"]))
    folder = result_folder(setting, method, seed)
    with checkpoints.held():
        remove_partial(folder)
        title = f"{setting} {method} seed {seed}"
        with live_view(identity, bench.partition.folds, checkpoints.path, wanted=live):
            with (
                TrainingDisplay(title, bench.partition, federation) as display,
                open_workers(setting, method, seed) or nullcontext() as workers,
            ):
                result = train(
                    bench.partition,
                    lambda: bench.create(seed),
                    bench.banks,
                    bench.train_images,
                    federation,
                    seed=seed,
                    scratch=checkpoints.path,
                    progress=display.update,
                    workers=workers,
                )
            tensors = {name: tensor.cpu().contiguous() for name, tensor in result.tensors.items()}
            write_bytes(folder / "weights.safetensors", save(tensors))
            write_csv(folder / "rounds.csv", ROUND_COLUMNS, result.rows)
            write_json(folder / "failures.json", result.failures)
            write_json(folder / "run.json", {**identity, **privacy})
        checkpoints.remove()


if __name__ == "__main__":
    run_stage(main)
