"""The code each stage of dvc.yaml depends on; ``python -m tests.code_deps`` prints it as YAML."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.imports import OURS, ROOT, closure, is_trivial, module_file, module_name

# Tracking observes: it is told results and gives none back, so it is no dependency of what it
# watches. Only the stage that is about tracking depends on it.
OBSERVER, ITS_STAGE = "fedmvp.tracking", "track"
# Packages whose data files all belong to the stages that import them. The data of the others
# (catalog, settings, recorded answers, weights) is listed beside the code, as far as it is read.
OWN_DATA = ("fedmvp/report",)


def stages() -> dict[str, dict[str, Any]]:
    """Return the stages of dvc.yaml."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(text)["stages"]
    return loaded


def params() -> dict[str, Any]:
    """Return params.yaml."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return loaded


def matrix_values(stage: Mapping[str, Any], axis: str) -> list[Any] | None:
    """Return what an axis of a stage's matrix runs over, None if it has no such axis."""
    source = stage.get("matrix", {}).get(axis)
    if source is None:
        return None
    value: Any = params()
    for key in source.removeprefix("${").removesuffix("}").split("."):
        value = value[key]
    return list(value)


def reachable(name: str, method: str | None = None) -> frozenset[str]:
    """Return the modules a stage can import, without those that only say what they are."""
    chosen = None if method is None else {"fedmvp.methods": [method]}
    found = closure(f"pipeline.{name}", chosen)
    return frozenset(
        m for m in found if not is_trivial(m) and (name == ITS_STAGE or not m.startswith(OBSERVER))
    )


def needed(name: str) -> frozenset[str]:
    """Return the modules a stage can import for any method its matrix runs over."""
    methods = matrix_values(stages()[name], "method")
    return frozenset().union(*(reachable(name, m) for m in (methods if methods else [None])))


def covered(deps: Collection[str]) -> frozenset[str]:
    """Return the modules in the files and folders `deps` names, trivial ones left out."""
    files: set[Path] = set()
    for dep in deps:
        path = ROOT / dep
        if dep.split("/")[0] in OURS and path.is_dir():
            files |= set(path.rglob("*.py"))
        elif dep.split("/")[0] in OURS and path.suffix == ".py":
            files.add(path)
    return frozenset(name for name in map(module_name, files) if not is_trivial(name))


def listing(name: str) -> list[str]:
    """Return the shortest list of a stage's code: whole packages where all of one is needed.

    A method's own module is written with the matrix item, so that it concerns that method alone.
    """
    wanted = needed(name)
    methods = matrix_values(stages()[name], "method")
    own = {f"fedmvp.methods.{m}" for m in methods or []}
    lines = {"fedmvp/methods/${item.method}.py"} if own else set()
    for module in wanted - own:
        file = module_file(module)
        assert file is not None
        above = file.relative_to(ROOT).parents
        whole = [folder for folder in above if _whole(folder, wanted - own)]
        lines.add((whole[-1] if whole else file.relative_to(ROOT)).as_posix())
    return sorted(lines)


def _whole(folder: Path, wanted: Collection[str]) -> bool:
    """Tell whether a package is all code and all of it wanted."""
    content = [
        p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ]
    return (
        len(folder.parts) > 1
        and (folder.as_posix() in OWN_DATA or all(p.suffix == ".py" for p in content))
        and covered([folder.as_posix()]) <= set(wanted)
    )


if __name__ == "__main__":
    for stage in stages():
        print(f"{stage}:", *(f"      - {line}" for line in listing(stage)), sep="\n")
