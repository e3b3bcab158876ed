from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.spec import load_spec
from fedmvp.data import locations as paths
from fedmvp.data.build import build_manifest
from fedmvp.data.marker import MARKER
from fedmvp.data.sources import SUBSET, ensure_raw
from fedmvp.errors import ConfigError, DataError
from fedmvp.paths import cache_root
from fedmvp.tracking.store import tracking_uri

from .conftest import png


@pytest.fixture
def paths_file(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "PATHS_FILE", machine / "paths.yaml")
    return machine / "paths.yaml"


def own(folder: Path) -> None:
    for name in ("photo/big-cat", "photo/dog", "sketch/big-cat", "sketch/dog"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_bytes(png())


def test_a_dataset_may_lie_anywhere(toy: Any, machine: Path, paths_file: Path) -> None:
    toy().unlink()
    own(machine / "elsewhere" / "my-toy")
    paths_file.write_text(f"datasets: {{toy: {machine / 'elsewhere' / 'my-toy'}}}\n")
    before = sorted((machine / "elsewhere").rglob("*"))
    assert ensure_raw(load_spec("toy")) == machine / "elsewhere" / "my-toy"
    assert sorted((machine / "elsewhere").rglob("*")) == before
    assert not (machine / "raw").exists()


def test_where_data_lies_changes_no_manifest(toy: Any, machine: Path, paths_file: Path) -> None:
    toy()
    fetched = build_manifest(load_spec("toy"), 1)
    shutil.copytree(machine / "raw" / "toy", machine / "deep" / "copy")
    (machine / "deep" / "copy" / MARKER).unlink()
    paths_file.write_text(f"datasets: {{toy: {machine / 'deep' / 'copy'}}}\n")
    assert build_manifest(load_spec("toy"), 1) == fetched


def test_the_environment_wins_over_the_file(
    machine: Path, paths_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths_file.write_text("data: big-disk\n")
    assert paths.data_root() == machine / "raw"
    monkeypatch.delenv("FEDMVP_DATA")
    assert paths.data_root() == Path("big-disk")
    paths_file.unlink()
    assert paths.data_root() == Path(".fedmvp/data")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: {toy: /no/such/folder}", r"datasets\.toy: folder is missing"),
        ("dataset: {}", "dataset: unknown key"),
        ("data: 3", "data: input should be a valid string"),
    ],
)
def test_a_wrong_file_is_one_clear_error(
    toy: Any, paths_file: Path, text: str, message: str
) -> None:
    toy()
    paths_file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        ensure_raw(load_spec("toy"))


def test_other_names_of_the_folder_are_known(toy: Any, machine: Path) -> None:
    toy(also=["Toy_2019"]).unlink()
    own(machine / "raw" / "Toy_2019")
    assert ensure_raw(load_spec("toy")) == machine / "raw" / "Toy_2019"


def test_a_part_on_purpose_is_said_in_the_manifest(toy: Any, machine: Path) -> None:
    toy(counts={"images": 40, "domains": {"photo": 20}}, sources=None)
    folder = machine / "raw" / "toy"
    own(folder)
    with pytest.raises(DataError, match=SUBSET):
        build_manifest(load_spec("toy"), 1)
    (folder / SUBSET).touch()
    assert build_manifest(load_spec("toy"), 1).subset


def test_unverified_counts_are_not_enforced(toy: Any) -> None:
    toy(counts={"images": 40}, unverified=["counts.images"])
    manifest = build_manifest(load_spec("toy"), 1)
    assert len(manifest.images) == 4 and not manifest.subset


def test_an_experiment_in_a_folder_of_its_own_uses_the_projects_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` and `--queue` run in a copy of what is in git."""
    for name in ("FEDMVP_DATA", "FEDMVP_CACHE", "FEDMVP_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    project = tmp_path / "project"
    (project / ".fedmvp").mkdir(parents=True)
    (project / "photos").mkdir()
    (project / ".fedmvp/paths.yaml").write_text("datasets: {toy: photos}\n")
    experiment = project / ".dvc/tmp/exps/standalone/tmp123/below"
    experiment.mkdir(parents=True)
    for folder in (project, experiment):
        monkeypatch.chdir(folder)
        assert paths.dataset_folder("toy", ["toy"]).absolute() == project / "photos"
        assert paths.data_root().absolute() == project / ".fedmvp/data"
        assert cache_root().absolute() == project / ".fedmvp/cache"
        assert tracking_uri(Path()) == f"sqlite:///{project}/.fedmvp/mlflow.db"
        with monkeypatch.context() as changed:
            changed.setenv("FEDMVP_DATA", "elsewhere")
            assert paths.data_root().absolute() == project / "elsewhere"
            changed.setenv("FEDMVP_DATA", "/absolute")
            assert paths.data_root() == Path("/absolute")
