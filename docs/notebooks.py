"""Run the notebooks of docs/notebooks: their code from top to bottom, each in a process of its own.

``python docs/notebooks.py`` writes what the cells print into the files; tests/unit/docs fails where
a cell prints something else than its file says. Cells are plain Python, so no Jupyter is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["NOTEBOOKS", "executed", "main"]

_ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = tuple(sorted((Path(__file__).resolve().parent / "notebooks").glob("*.ipynb")))
_RUNNER = """
import contextlib, io, json, sys
printed, names = [], {"__name__": "__main__"}
for number, cell in enumerate(json.loads(sys.stdin.read())):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(cell, f"cell {number}", "exec"), names)
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def executed(path: Path, folder: Path) -> dict[str, Any]:
    """Return a notebook with what its cells print when they are run in `folder`.

    Raises
    ------
    RuntimeError
        When a cell fails; with the end of its traceback.
    """
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(_ROOT),
        "EMOJI": str(_ROOT / "data/emoji"),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(  # noqa: S603 - the notebooks of this repository
        [sys.executable, "-c", _RUNNER],
        input=json.dumps(["".join(cell["source"]) for cell in cells]),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{path.name}: {done.stderr[-2000:]}")
    for number, (cell, text) in enumerate(
        zip(cells, json.loads(done.stdout.splitlines()[-1]), strict=True)
    ):
        cell["execution_count"] = number + 1
        lines = text.splitlines(keepends=True)
        cell["outputs"] = (
            [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
        )
    return notebook


def main() -> None:
    """Run all of them, and write what they print."""
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, Path(folder))
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
