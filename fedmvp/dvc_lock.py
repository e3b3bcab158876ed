"""Whether the files that DVC's stages wrote still are as dvc.lock recorded them.

DVC trusts its cache: an object that was edited or damaged there is restored as if it were the
stage's own output, and everything is called up to date. So whoever publishes numbers, and
`fedmvp doctor --deep`, hashes the files again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmvp.errors import DataError
from fedmvp.yaml_files import load_yaml

__all__ = ["LockedOutput", "locked_outputs", "md5_file", "md5_output", "require_as_recorded"]


@dataclass(frozen=True)
class LockedOutput:
    """A file or folder a stage wrote, as dvc.lock has it.

    Parameters
    ----------
    path : str
        From the repository's folder.
    md5 : str
        DVC's hash; that of a folder ends in ``.dir``.
    """

    stage: str
    path: str
    md5: str


def locked_outputs(root: Path) -> tuple[LockedOutput, ...]:
    """Return all outputs in the order of dvc.lock; none where nothing was run with DVC.

    Raises
    ------
    ConfigError
        When the file is damaged.
    """
    path = root / "dvc.lock"
    if not path.is_file():
        return ()
    lock = load_yaml(path)
    stages = lock.get("stages") if isinstance(lock, dict) else None
    return tuple(
        LockedOutput(str(name), str(output["path"]), str(output["md5"]))
        for name, stage in (stages or {}).items()
        for output in stage.get("outs", ())
        if "md5" in output
    )


def require_as_recorded(root: Path, folders: Sequence[Path]) -> None:
    """Make sure that what is about to be published is what its stages wrote.

    Parameters
    ----------
    folders : sequence of Path
        Results, below `root`. What dvc.lock does not list is not looked at.

    Raises
    ------
    DataError
        Naming the first output that is not as recorded.
    """
    wanted = [folder.resolve() for folder in folders]
    for output in locked_outputs(root):
        path = (root / output.path).resolve()
        concerned = any(path.is_relative_to(one) or one.is_relative_to(path) for one in wanted)
        if concerned and path.exists() and md5_output(path) != output.md5:
            raise DataError(
                "not what its stage wrote: damaged, changed by hand, or from another commit",
                where=output.path,
                value=output.stage,
                hint="`fedmvp doctor --deep` finds what is damaged; `dvc commit` keeps a change, "
                "`dvc checkout` undoes it",
            )


def md5_output(path: Path) -> str:
    """Return DVC's hash of a file, or of a folder: of the list of its files with their hashes."""
    if path.is_file():
        return md5_file(path)
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listing = [{"md5": md5_file(path / name), "relpath": name} for name in files]
    text = json.dumps(listing, sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def md5_file(path: Path) -> str:
    """Return the hex MD5 of a file, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)
