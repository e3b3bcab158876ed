"""Where and with which versions a run was first recorded; none of it changes a result."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path

__all__ = ["origin"]


def origin(root: Path) -> dict[str, str]:
    """Return tags: versions, and the commit the repository in `root` is at."""
    tags = {
        "env.python": platform.python_version(),
        "env.platform": platform.platform(),
        "env.torch": importlib.metadata.version("torch"),
    }
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
        tags |= {"git.commit": commit, "git.dirty": str(dirty).lower()}
    return tags


def _git(root: Path, *arguments: str) -> str:
    """Return git's answer, empty outside a repository or without git."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""
