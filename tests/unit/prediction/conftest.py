"""A furnished working folder for tests of prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fedmvp.clip.backbone import Backbone


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: None) -> Path:
    """Change into an empty folder; CLIP's tokenizer is replaced by one token per word."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDMVP_CATALOG", "catalog")
    return tmp_path


@pytest.fixture
def tower(place: Path) -> Backbone:
    """Furnish the folder (see `places.furnish`); return its backbone."""
    from tests.unit.prediction.places import furnish

    return furnish(place)
