"""Stages ``train_code`` and the like: source files of a stage → data/code/<stage>.json, hashes.

Run as ``python -m pipeline.code STAGE``. A stage that runs for many settings, methods and seeds
depends on this one file instead of on every module it can import. DVC writes all of dvc.lock anew
after each stage, so a list of fifty files in each of a hundred stages would take it longer than the
stages take to run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fedmvp.errors import ConfigError
from fedmvp.files import sha256_file, write_json
from fedmvp.yaml_files import load_yaml
from pipeline.stage import run_stage, stage_words

SELF = "pipeline/code.py"
_PIPELINE = Path("dvc.yaml")


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Hash the files that dvc.yaml lists for one stage."""
    (name,) = stage_words(arguments, "STAGE")
    stage = f"{name}_code"
    stages = load_yaml(_PIPELINE)["stages"]
    if stage not in stages:
        known = ", ".join(key.removesuffix("_code") for key in stages if key.endswith("_code"))
        raise ConfigError("stage has no list of code", where=_PIPELINE, value=stage,
                          mend=f"use one of: {known}")  # fmt: skip
    # What this module does is no part of what the stage computes.
    listed = [Path(entry) for entry in stages[stage]["deps"] if entry != SELF]
    hashes = {path.as_posix(): sha256_file(path) for path in sorted(_files(listed))}
    write_json(Path("data/code") / f"{name}.json", {"files": hashes})
    print(f"{name}: {len(hashes)} files")


def _files(entries: Sequence[Path]) -> Iterator[Path]:
    """Yield files, and the modules in folders."""
    for entry in entries:
        yield from entry.rglob("*.py") if entry.is_dir() else [entry]


if __name__ == "__main__":
    run_stage(main)
