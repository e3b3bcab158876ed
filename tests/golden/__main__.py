"""``python -m tests.golden [write]``: compare this folder's results with the golden metrics.

Run it where `dvc repro` is up to date; to compare, fewer seeds will do (`run.seeds`). Exit code 1
says that a number moved.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedmvp.config import load_params
from fedmvp.errors import FedMVPError
from tests.golden.metrics import FOLDER, compare, measured, platform_key, read, write

if __name__ == "__main__":
    try:
        results = measured(Path())
        if sys.argv[1:] == ["write"]:
            print(write(FOLDER, platform_key(), results))
        elif sys.argv[1:]:
            sys.exit(__doc__)
        else:
            verdict = compare(results, read(FOLDER), platform_key(), load_params().run.seeds)
            print(verdict)
            sys.exit(0 if verdict.passed else 1)
    except FedMVPError as error:
        sys.exit(f"error: {error}")
