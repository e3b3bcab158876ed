"""`dvc repro` in the current folder, each stage a fork of one process that has imported torch.

A pipeline of a hundred stages spends most of its time importing; this one imports once. Stages are
otherwise what they are: a process each, with their command's module, arguments and exit code.
"""

from __future__ import annotations

import multiprocessing
import runpy
import shlex
import sys
from typing import Any

PRELOADED = [
    "torch",
    "open_clip",
    "mlflow",
    "pipeline.train",
    "pipeline.evaluate",
    "pipeline.zero_shot",
    "pipeline.report",
    "pipeline.track",
]


def run_stage(module: str, arguments: list[str]) -> None:
    """Run ``python -m module arguments`` in this process."""
    sys.argv = [module, *arguments]
    # The module may be imported already, with the arguments of the process that imported it.
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Reproduce; a stage that fails ends this process with DVC's error."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def run(stage: Any, dry: bool = False, run_env: object = None) -> None:
        from dvc.stage.exceptions import StageCmdFailedError

        python, flag, module, *arguments = shlex.split(stage.cmd)
        assert (python, flag) == ("python", "-m"), stage.cmd
        process = context.Process(target=run_stage, args=(module, arguments))
        process.start()
        process.join()
        if process.exitcode:
            raise StageCmdFailedError(stage.cmd, process.exitcode)

    import dvc.stage.run
    from dvc.repo import Repo

    dvc.stage.run.cmd_run = run
    with Repo() as repo:
        repo.reproduce()


if __name__ == "__main__":
    main()
