"""The code each stage of dvc.yaml depends on; ``python -m tests.code_deps`` prints it as YAML."""

from __future__ import annotations

import ast
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.imports import OURS, ROOT, closure, is_trivial, module_file, module_name

# Tracking observes: it is told results and gives none back, so it is no dependency of what it
# watches. Only the stage that is about tracking depends on it.
OBSERVER, ITS_STAGE = "fedmvp.tracking", "track"
# Packages listed as one folder where all of their code is needed: whoever runs all of it reads its
# data files, too (or, of clip's weights, what the backbone stage made of them). The data of the
# others (settings, recorded answers) is listed beside the code, as far as it is read.
WITH_DATA = ("fedmvp/clip", "fedmvp/report")
# `train_code` is to `train` what the list of its code would be, and this module makes it so.
CODE, HASHES = "_code", "pipeline/code.py"


@cache
def written() -> dict[str, dict[str, Any]]:
    """Return the stages as dvc.yaml has them."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(text)["stages"]
    return loaded


@cache
def stages() -> dict[str, dict[str, Any]]:
    """Return the stages that compute, each with the code that a stage of its own hashes for it."""
    found = {}
    for name, stage in written().items():
        if not name.endswith(CODE):
            hashed = written().get(f"{name}{CODE}", {"deps": []})["deps"]
            found[name] = stage | {"deps": [*stage["deps"], *(e for e in hashed if e != HASHES)]}
    return found


@cache
def params() -> dict[str, Any]:
    """Return params.yaml."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return loaded


@cache
def methods(name: str) -> tuple[str, ...]:
    """Return the registered methods a stage can run for, in any profile; empty for the others."""
    axis = stages()[name].get("matrix", {}).get("method")
    if axis is None:
        return ()
    assert axis in ("${run.trained}", "${run.zero_shot}")
    return tuple(m for m in _registered() if _is_trained(m) == (axis == "${run.trained}"))


def _registered() -> list[str]:
    tree = ast.parse((ROOT / "fedmvp/methods/__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "METHODS":
            return list(ast.literal_eval(ast.unparse(node.value or ast.Dict([], []))))
    raise LookupError("fedmvp.methods has no METHODS")


def _is_trained(method: str) -> bool:
    source = (ROOT / f"fedmvp/methods/{method}.py").read_text(encoding="utf-8")
    return "trained: ClassVar[bool] = False" not in source


def reachable(name: str, method: str | None = None) -> frozenset[str]:
    """Return the modules a stage can import, without those that only say what they are."""
    chosen = None if method is None else {"fedmvp.methods": [method]}
    found = closure(f"pipeline.{name}", chosen)
    return frozenset(
        m for m in found if not is_trivial(m) and (name == ITS_STAGE or not m.startswith(OBSERVER))
    )


@cache
def needed(name: str) -> frozenset[str]:
    """Return the modules a stage can import for any method: the list in dvc.yaml serves them all.

    A method's own module apart, which is listed by the matrix item.
    """
    return frozenset().union(*(reachable(name, m) for m in (methods(name) or [None])))


def covered(deps: Collection[str]) -> frozenset[str]:
    """Return the modules in the files and folders `deps` names, trivial ones left out."""
    files: set[Path] = set()
    for dep in deps:
        path = ROOT / dep
        if dep.split("/")[0] in OURS and path.is_dir():
            files |= set(path.rglob("*.py"))
        elif dep.split("/")[0] in OURS and path.suffix == ".py" and path.exists():
            files.add(path)
    return frozenset(name for name in map(module_name, files) if not is_trivial(name))


def listing(name: str) -> list[str]:
    """Return the shortest list of a stage's code: whole packages where all of one is needed.

    A method's own module is written with the matrix item, so that it concerns that method alone;
    a method another one builds on concerns them all.
    """
    wanted = set(needed(name))
    lines = set()
    if methods(name):
        lines.add("fedmvp/methods/${item.method}.py")
        wanted -= {_own(m) for m in methods(name)}
        wanted |= {_own(m) for m in methods(name) for n in methods(name)
                   if m != n and _own(m) in reachable(name, n)}  # fmt: skip
    files = [file.relative_to(ROOT) for m in wanted if (file := module_file(m))]
    folders = {folder for file in files for folder in file.parents}
    whole = {folder for folder in folders if _whole(folder, wanted)}
    for file in files:
        above = [folder for folder in file.parents if folder in whole]
        lines.add((above[-1] if above else file).as_posix())
    return sorted(lines)


def _own(method: str) -> str:
    return f"fedmvp.methods.{method}"


def _whole(folder: Path, wanted: Collection[str]) -> bool:
    """Tell whether a package is all code and all of it wanted."""
    content = [
        p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ]
    return (
        len(folder.parts) > 1
        and (folder.as_posix() in WITH_DATA or all(p.suffix == ".py" for p in content))
        and covered([folder.as_posix()]) <= set(wanted)
    )


if __name__ == "__main__":
    for stage in stages():
        print(f"{stage}:", *(f"      - {line}" for line in listing(stage)), sep="\n")
