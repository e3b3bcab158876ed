"""A copy of the repository whose CLIP is tiny and random, and `dvc` run in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT
from tests.pipeline.conftest import COPIED

# A CLIP that knows nothing: what is learned is no matter here, where it goes is.
MODEL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def copy_repository(root: Path, *more: str) -> None:
    """Copy what stages need, and `more`, into a new git repository with a tiny model."""
    for name in (*COPIED, *more):
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "weights"))
        else:
            shutil.copyfile(source, target)
    write_weights(root / "fedmvp/clip/weights/pictoclip")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)


def write_weights(folder: Path) -> None:
    """Write random weights where PictoCLIP's are."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(**MODEL)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_cfg": MODEL}), encoding="utf-8")
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")


def dvc(
    root: Path, *arguments: str, cwd: Path | None = None, warm: Path | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run dvc as the Makefile does: this environment's python first on the PATH.

    `warm` is the folder of `tests.pipeline.warm`: then dvc and its stages are forks.
    """
    if warm is not None:
        return run_warm(root, warm, "dvc", *arguments)
    return _run(cwd or root, "-m", "dvc", *arguments, PYTHONPATH=str(root), **extra)


def run_warm(root: Path, warm: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run `dvc` or `python -m` in a folder as a fork (see `tests.pipeline.warm`)."""
    found = environment(PYTHONPATH=str(root))
    found["PATH"] = f"{warm}{os.pathsep}{found['PATH']}"
    return _run_with(root, found, str(warm / command[0]), *command[1:])


def forked_repro(root: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `dvc repro` with stages that share their imports (see `forked_repro`)."""
    path = os.pathsep.join((str(root), str(ROOT)))
    return _run(root, "-m", "tests.pipeline.forked_repro", PYTHONPATH=path, **extra)


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of the Makefile: nothing of the user's, this python first."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FEDMVP_", "MLFLOW_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
        "SHELL": "/bin/sh",
        "DVC_NO_ANALYTICS": "1",
        **extra,
    }


def _run(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return _run_with(folder, environment(**extra), sys.executable, *arguments)


def _run_with(
    folder: Path, variables: dict[str, str], *command: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
