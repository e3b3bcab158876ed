"""A furnished working folder, as the tests of prediction have it, and drawn training data."""

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
