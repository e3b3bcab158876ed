"""Notebooks print what they say they print, and hold nothing of the machine that ran them."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.unit.docs.test_pages import loaded

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
# What they do is tested by itself, too: predictions with attention, export to ONNX.
LONG = ("export", "predict")


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.minutes if path.stem in LONG else (), id=path.stem)
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_prints_what_it_says(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for package in ("onnxruntime", "onnxscript"):
        if package in text and find_spec(package) is None:
            pytest.skip("needs the extra `onnx`")
    written = json.loads(text)
    assert loaded("notebooks").executed(path, tmp_path) == written, "run `python docs/notebooks.py`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_one_and_was_run(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert any(cell["outputs"] for cell in code)
    assert not re.search(r"/home/|/tmp/|/root/", json.dumps([cell["outputs"] for cell in code]))


def test_every_notebook_is_told_of() -> None:
    pages = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs/howto").glob("*.md"))
    assert NOTEBOOKS
    assert all(f"../notebooks/{path.name}" in pages for path in NOTEBOOKS)
