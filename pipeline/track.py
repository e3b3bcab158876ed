"""Stage ``track``: results → runs in MLflow, and report/tracking.json, what was projected.

The runs are a projection of files, so the stage's output lists fingerprints, not run ids: those
differ from store to store. `fedmvp track sync` does the same for results that were not made here.
"""

from __future__ import annotations

from pathlib import Path

from fedmvp.config import RunParams, load_params
from fedmvp.files import sha256_file, write_json
from fedmvp.paths import REPORT, RESULTS
from fedmvp.results.files import METRICS, RECORD
from fedmvp.results.key import RunKey
from fedmvp.results.record import read_record
from fedmvp.tracking.sync import sync
from pipeline.support.stage import run_stage


def main() -> None:
    """Bring the tracking store in line with the configured results."""
    root = Path()
    folders = [folder for folder in _folders(root, load_params().run) if folder.is_dir()]
    print(sync(root, folders=folders))
    runs = [
        {
            "result": folder.as_posix(),
            "fingerprint": read_record(folder / RECORD).fingerprint,
            "metrics_sha256": sha256_file(folder / METRICS),
        }
        for folder in folders
    ]
    write_json(root / REPORT / "tracking.json", {"runs": runs})


def _folders(root: Path, run: RunParams) -> list[Path]:
    """Return the configured results, sorted; older ones may lie beside them."""
    return sorted(
        RunKey(setting, method, seed).folder(root / RESULTS)
        for setting in run.settings
        for method in (*run.zero_shot, *run.trained)
        for seed in run.seeds
    )


if __name__ == "__main__":
    run_stage(main)
