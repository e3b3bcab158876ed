"""A furnished working folder with a trained result, as the tests of prediction have it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fedmvp.clip.backbone import Backbone


@pytest.fixture
def tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: None) -> Backbone:
    """Change into a folder with catalog, attributes, two images and a tiny backbone, returned."""
    from tests.unit.prediction.places import furnish

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDMVP_CATALOG", "catalog")
    return furnish(tmp_path)


@pytest.fixture
def result(tower: Backbone) -> Path:
    """Write a result that was trained and evaluated."""
    from fedmvp.csv_files import write_csv
    from fedmvp.files import write_json
    from fedmvp.results.predictions import PREDICTION_COLUMNS
    from fedmvp.results.rounds import ROUND_COLUMNS
    from fedmvp.results.targets import TARGET_COLUMNS
    from tests.unit.prediction.places import CLASSES, trained, write_result

    folder = write_result(Path(), trained(tower, n_prompts=2), federation={"rounds": 2})
    rows = [
        {
            "fold": "main",
            "round": i,
            "client": c,
            "phase": "all",
            "images": 7,
            "loss": 1.0,
            "bytes_up": 1000,
            "bytes_down": 1000,
        }
        for i in range(2)
        for c in ("a", "b")
    ]
    write_csv(folder / "rounds.csv", ROUND_COLUMNS, rows)
    targets, answers = [], []
    for group, right in (("local", 3), ("base", 2), ("new", 4)):
        key = {"fold": "main", "group": group, "name": group, "dataset": "toys"}
        targets.append({**key, "domain": "", "classes": 4, "images": 4, "accuracy": right / 4})
        answers += [
            {
                **key,
                "image": f"{group}/{i}",
                "label": CLASSES[i],
                "predicted": CLASSES[i if i < right else i - 1],
            }
            for i in range(4)
        ]
    write_csv(folder / "targets.csv", TARGET_COLUMNS, targets)
    write_csv(folder / "predictions.csv", PREDICTION_COLUMNS, answers)
    metrics = {"local": 0.75, "base": 0.5, "new": 1.0, "hm": 3 / (1 / 0.75 + 1 / 0.5 + 1)}
    write_json(folder / "metrics.json", metrics)
    return folder
