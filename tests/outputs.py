"""``python -m tests.outputs`` prints the SHA-256 of every file `dvc repro` made, sorted by path."""

from __future__ import annotations

from pathlib import Path

from dvc.repo import Repo

from fedmvp.files import sha256_file


def files(root: Path) -> list[Path]:
    """Return the files that are outputs of stages, or lie in them.

    Raises
    ------
    FileNotFoundError
        When an output is missing.
    """
    found: set[Path] = set()
    with Repo(str(root)) as repo:
        for out in repo.index.outs:
            path = Path(out.fs_path)
            if not path.exists():
                raise FileNotFoundError(path)
            found |= {path} if path.is_file() else {p for p in path.rglob("*") if p.is_file()}
    return sorted(found)


if __name__ == "__main__":
    here = Path.cwd()
    for file in files(here):
        print(sha256_file(file), file.relative_to(here))
