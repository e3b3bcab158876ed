"""What the benchmark of scenes looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.scenes_zero_shot import populations, quarters
from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from tests.paths import ROOT


def test_quarters_go_row_by_row() -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    found = quarters(pixels)
    assert found.shape == (1, 4, 2, 2, 1)
    assert found[0, 1].ravel().tolist() == [2, 3, 6, 7]
    assert found[0, 2].ravel().tolist() == [8, 9, 12, 13]


def test_every_test_scene_is_in_one_population(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    manifest = build_manifest(load_spec("scenes"), 1)
    found = populations(manifest)
    ids = [image_id for one in found for image_id in one.ids]
    assert len(ids) == len(set(ids)) == 2200
    assert [len(one.classes) for one in found] == [60, 20, 80, 60]
    assert all(manifest.label_matrix(one.ids, one.classes).any(axis=1).all() for one in found)
