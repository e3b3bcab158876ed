"""``fedmvp run``: what `dvc repro` would do, several stages at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["run"]

_PIPELINE = "pipeline.cluster"


def run(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Stages, or items of their matrix, as for `dvc repro`; else all."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Stages at once; else one per GPU, or as many as there are cores for their "
            "threads. More jobs than GPUs share them.",
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(help="GPUs to use, e.g. 0,1; else what FEDMVP_DEVICE says, for every stage."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of a stage; else FEDMVP_THREADS, as in `dvc repro`."),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="GiB that stages may use together, by their own estimates; else this machine's.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Run on the Ray cluster at this address, HOST:PORT or auto."),
    ] = None,
    remote: Annotated[
        str | None,
        typer.Option(
            help="DVC remote through which trainings and evaluations get their inputs and send "
            "their outputs; else the cluster's machines see this folder under the same path."
        ),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            help="Run the trials of this file, each a DVC experiment, several at once, and print "
            "their scores."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print which stage would run where and how long, or the trials."
        ),
    ] = False,
) -> None:
    """Run the stages that are not up to date, as `dvc repro` does, several at once.

    DVC itself runs each of them, so outputs and dvc.lock are those of `dvc repro`. What a stage
    prints is in .fedmvp/run/logs. Ctrl-C stops all; the same command continues.
    """
    import json
    import os
    import sys

    from fedmvp.errors import ConfigError

    if not Path(*_PIPELINE.split("."), "__main__.py").is_file():
        raise ConfigError(
            "there is no pipeline in this folder",
            where="fedmvp run",
            value=str(Path.cwd()),
            hint="run it in a clone of the repository",
        )
    request = {
        "targets": targets or [],
        "jobs": jobs,
        "gpus": gpus,
        "threads": threads,
        "memory_gib": memory,
        "dry_run": dry_run,
        "address": address,
        "remote": remote,
        "sweep": sweep,
    }
    if context.find_root().params.get("debug"):
        os.environ["FEDMVP_DEBUG"] = "1"
    # The pipeline of this folder is run, not the package's. It replaces this process, so that it
    # receives signals and determines the exit code.
    sys.stdout.flush()
    words = [sys.executable, "-m", _PIPELINE, json.dumps(request)]
    os.execv(sys.executable, words)  # noqa: S606 - ours, no shell
