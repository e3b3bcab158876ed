"""A report on emoji, made once: tests read it and write beside it only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.report.making import report


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def page(built: Path) -> str:
    return (built / "index.html").read_text()
