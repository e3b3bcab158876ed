"""What importing the package costs, and what a prediction may load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fedmvp
from tests.paths import ROOT

_SHOW = "import sys; print(*{name.split('.')[0] for name in sys.modules})"


def modules_after(code: str, folder: Path = ROOT) -> set[str]:
    """Return the top-level modules a fresh interpreter has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_SHOW}"],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_no_library() -> None:
    """So it takes no longer than the interpreter's own start."""
    extra = modules_after("import fedmvp") - modules_after("import __future__, typing") - {"fedmvp"}
    assert not extra


def test_the_api_loads_neither_dvc_nor_mlflow_nor_open_clip() -> None:
    loaded = modules_after("import fedmvp; fedmvp.load; fedmvp.train; fedmvp.evaluate")
    assert "torch" in loaded
    assert not loaded & {"dvc", "mlflow", "open_clip", "fastapi", "pandas", "scipy", "sklearn"}


def test_names_are_listed_and_others_are_refused() -> None:
    assert {"load", "train", "evaluate", "Model", "__version__"} <= set(dir(fedmvp))
    assert not hasattr(fedmvp, "nothing")
    assert fedmvp.load.__module__ == "fedmvp.api"
