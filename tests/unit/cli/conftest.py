"""Running commands in this process, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

if TYPE_CHECKING:
    from fedmvp.clip.backbone import Backbone

ROOT = Path(__file__).parents[3]

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run ``fedmvp`` with some words; the exit code must be the one expected."""
    from fedmvp.cli import app

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return call


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into a folder with params.yaml and the emoji archives."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/emoji").symlink_to(ROOT / "data/emoji")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: None) -> Backbone:
    """Change into a furnished folder (see `places.furnish`); return its backbone."""
    from tests.unit.prediction.places import furnish

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDMVP_CATALOG", "catalog")
    return furnish(tmp_path)
