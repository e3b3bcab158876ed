"""What `fedmvp doctor --deep` also checks: DVC's whole cache, and every output of a stage.

DVC restores objects of its cache without checking them, so a damaged object would come back as a
result.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fedmvp.cli.health import Check, Line
from fedmvp.dvc_lock import LockedOutput, locked_outputs, md5_file, md5_output
from fedmvp.errors import DataError

__all__ = ["DEEP_CHECKS"]


def _outputs(check: str) -> Iterator[Line]:
    """Compare the outputs in the working tree with dvc.lock."""
    checked = 0
    for output in locked_outputs(Path()):
        path = Path(output.path)
        if not path.exists():
            continue
        checked += 1
        if md5_output(path) != output.md5:
            hint = f"`dvc commit` keeps what you changed yourself; else {_again(output)}"
            yield Line(check, False, f"{path}: differs from what stage {output.stage} wrote", hint)
    yield Line(check, True, f"{checked} outputs compared with dvc.lock")


def _cache(check: str) -> Iterator[Line]:
    """Compare every object of DVC's cache with its name, which is its hash."""
    folder = _cache_folder() / "files" / "md5"
    stages = {output.md5: output for output in locked_outputs(Path())}
    checked = 0
    for path in sorted(folder.glob("??/*")):
        name = path.parent.name + path.name
        if not path.is_file() or len(name.removesuffix(".dir")) != 32:
            continue  # left over from an interrupted DVC
        checked += 1
        if md5_file(path) != name.removesuffix(".dir"):
            output = stages.get(name)
            of = "no current output" if output is None else f"{output.path} of {output.stage}"
            again = "stages that need it run again" if output is None else _again(output)
            yield Line(
                check,
                False,
                f"{path}: damaged, {of}",
                f"`rm -f {shlex.quote(str(path))}`, then {again}",
            )
    yield Line(check, True, f"{checked} objects of DVC's cache compared with their names")


def _again(output: LockedOutput) -> str:
    return f"`dvc repro --force --single-item {output.stage}`"


def _cache_folder() -> Path:
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        (reason,) = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise DataError(
            f"DVC does not say where its cache is ({reason})",
            where="dvc cache dir",
            hint="run it in the repository, whose .dvc/config may be damaged",
        )
    folder = Path(done.stdout.strip())
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


DEEP_CHECKS: dict[str, Check] = {"cache": _cache, "outputs": _outputs}
"""Checks in the order in which they are shown: a damaged object must be removed first."""
