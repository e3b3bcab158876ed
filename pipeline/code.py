"""Stage ``code``: source → data/code/, the hashes of the modules each stage can import.

Every other stage depends on one of these files instead of on its modules. So the list of modules is
computed and not maintained by hand, and a change reruns only stages that can run the changed code.
One file instead of fifty also keeps dvc.lock short, which DVC rewrites after each stage.
"""

from __future__ import annotations

from pathlib import Path

from fedmvp.config import load_params
from pipeline.support.code_hashes import write_code
from pipeline.support.stage import run_stage


def main() -> None:
    """Hash the code of every stage, for every method."""
    load_params()  # its values name later stages' outputs, which DVC removes before it starts them
    print(f"data/code: {write_code(Path())} files")


if __name__ == "__main__":
    run_stage(main)
