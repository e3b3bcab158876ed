"""Which modules a stage can import, and the hashes of their files.

A stage with a method has a list for each method: what only FedTPG imports does not affect FedMVP.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from fedmvp.files import sha256_file, write_json
from pipeline.support.imports import Sources

__all__ = ["METHOD_STAGES", "STAGES", "code_of", "write_code"]

STAGES = ("backbone", "download", "attributes", "partition", "report", "track")
METHOD_STAGES = ("train", "evaluate", "zero_shot")
_METHODS = "fedmvp.methods"
# Tracking only reads results and does not change any, so only its own stage depends on it.
_OBSERVER, _ITS_STAGE = "fedmvp.tracking", "track"


def write_code(root: Path) -> int:
    """Write data/code of the repository in `root`; return the number of files."""
    sources = Sources(root)
    folder, methods = root / "data/code", _methods(sources)
    for stage in STAGES:
        write_json(folder / f"{stage}.json", {"files": _hashes(sources, code_of(sources, stage))})
    for stage in METHOD_STAGES:
        for method, (_, class_name, _) in methods.items():
            files = _hashes(sources, code_of(sources, stage, method))
            write_json(folder / stage / f"{method}.json", {"class": class_name, "files": files})
    return len(STAGES) + len(METHOD_STAGES) * len(methods)


def code_of(sources: Sources, stage: str, method: str | None = None) -> frozenset[str]:
    """Return the modules that a stage can import, without those that contain no code.

    `fedmvp.methods` itself counts as one of the latter: it only names each method's class, which
    the method's file does, too. The report takes the titles of methods from it.
    """
    chosen = None if method is None else {_METHODS: [_methods(sources)[method][0]]}
    return frozenset(
        module
        for module in sources.closure(f"pipeline.{stage}", chosen)
        if not sources.is_trivial(module)
        and (module != _METHODS or stage == "report")
        and (stage == _ITS_STAGE or not module.startswith(_OBSERVER))
    )


def _methods(sources: Sources) -> dict[str, tuple[str, str, str]]:
    """Return ``fedmvp.methods.METHODS``, read without importing it."""
    for node in sources.tree(_METHODS).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "METHODS":
            table = ast.literal_eval(node.value or ast.Dict([], []))
            return dict(table)
    raise LookupError(f"{_METHODS} has no METHODS")


def _hashes(sources: Sources, modules: Iterable[str]) -> dict[str, str]:
    files = sorted(file for module in modules if (file := sources.file(module)))
    return {file.relative_to(sources.root).as_posix(): sha256_file(file) for file in files}
