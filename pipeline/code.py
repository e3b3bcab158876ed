"""Stage ``code``: source → data/code/, the hashes of the modules each stage can import.

Every other stage depends on one of these files instead of on its modules, so the list is computed,
never written down, and a change reruns what can run the changed code and nothing else. A stage with
a method has a file for each of them: what only FedTPG imports does not concern FedMVP. One file
instead of fifty also keeps dvc.lock short, all of which DVC writes anew after each stage.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from fedmvp.config import load_params
from fedmvp.files import sha256_file, write_json
from pipeline.imports import Sources
from pipeline.stage import run_stage

__all__ = ["METHOD_STAGES", "STAGES", "code_of", "method_classes", "write_code"]

STAGES = ("backbone", "download", "attributes", "partition", "report", "track")
METHOD_STAGES = ("train", "evaluate", "zero_shot")
_METHODS = "fedmvp.methods"
# Tracking observes: it is told results and gives none back, so only its own stage is about it.
_OBSERVER, _ITS_STAGE = "fedmvp.tracking", "track"


def main() -> None:
    """Hash the code of every stage, for every method."""
    load_params()  # its values name later stages' outputs, which DVC removes before it starts them
    print(f"data/code: {write_code(Path())} files")


def write_code(root: Path) -> int:
    """Write data/code of the repository in `root`; return the number of files."""
    sources = Sources(root)
    folder, methods = root / "data/code", method_classes(sources)
    for stage in STAGES:
        write_json(folder / f"{stage}.json", {"files": _hashes(sources, code_of(sources, stage))})
    for stage in METHOD_STAGES:
        for method, name in methods.items():
            files = _hashes(sources, code_of(sources, stage, method))
            write_json(folder / stage / f"{method}.json", {"class": name, "files": files})
    return len(STAGES) + len(METHOD_STAGES) * len(methods)


def code_of(sources: Sources, stage: str, method: str | None = None) -> frozenset[str]:
    """Return the modules a stage can import, without those that only say what they are.

    `fedmvp.methods` itself is one of the latter: it says in which class a method is, and each
    method's file says so, too.
    """
    chosen = None if method is None else {_METHODS: [method]}
    return frozenset(
        module
        for module in sources.closure(f"pipeline.{stage}", chosen)
        if not sources.is_trivial(module)
        and module != _METHODS
        and (stage == _ITS_STAGE or not module.startswith(_OBSERVER))
    )


def method_classes(sources: Sources) -> dict[str, str]:
    """Return ``fedmvp.methods.METHODS``, read without importing it."""
    for node in sources.tree(_METHODS).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "METHODS":
            found: dict[str, str] = ast.literal_eval(node.value or ast.Dict([], []))
            return found
    raise LookupError(f"{_METHODS} has no METHODS")


def _hashes(sources: Sources, modules: Iterable[str]) -> dict[str, str]:
    files = sorted(file for module in modules if (file := sources.file(module)))
    return {file.relative_to(sources.root).as_posix(): sha256_file(file) for file in files}


if __name__ == "__main__":
    run_stage(main)
