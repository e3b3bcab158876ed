"""Fuzz one target with atheris: ``python -m tests.fuzz.run TARGET [CORPUS …] [-runs=100000]``.

Needs the extra ``fuzz``. What follows the target's name is libFuzzer's: folders of inputs, of which
the first receives new ones, and options such as ``-max_total_time=600``.
"""

from __future__ import annotations

import sys

from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until stopped; an input that breaks a target is written to ``crash-…``."""
    import atheris

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.run {{{','.join(TARGETS)}}} [CORPUS …]")
    target = TARGETS[sys.argv[1]]
    # Coverage of our code and of the libraries that parse; torch itself is too large to rewrite.
    with atheris.instrument_imports(
        include=["fedmvp", "yaml", "json", "zipfile", "tarfile", "PIL"]
    ):
        target(b"")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
