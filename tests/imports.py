"""Who imports whom in this repository, read from the source with `ast`: nothing is imported.

Imports inside functions count, because a stage runs them; imports under ``if TYPE_CHECKING`` do
not. ``import_module(f"package.{name}")`` stands for the modules of that package, or for those of
`chosen` where the caller knows which are asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = ("fedmvp", "pipeline")


@cache
def module_file(module: str) -> Path | None:
    """Return the file of one of our modules, None for a name that is none."""
    path = ROOT.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def module_name(file: Path) -> str:
    """Return the dotted name of a source file."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[str]:
    """Return all of our modules, sorted."""
    return sorted(module_name(file) for top in OURS for file in (ROOT / top).rglob("*.py"))


@cache
def imported(module: str, *, eager: bool = False) -> frozenset[str]:
    """Return what `module` imports, ours and others; ``package.*`` for a dynamic import.

    Parameters
    ----------
    eager : bool, default=False
        Leave out imports inside functions: what loading the module alone costs.
    """
    file = module_file(module)
    if file is None:
        raise LookupError(f"{module} is no module of this repository")
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return frozenset(_imports(tree, module, eager))


def _imports(node: ast.AST, module: str, eager: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if eager and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield from _imports(statement, module, eager)
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            if child.level:
                raise ValueError(f"{module}: relative import; write the module's full name")
            yield from _from(child)
        elif isinstance(child, ast.Call):
            yield from _dynamic(child, module)
        yield from _imports(child, module, eager)


def _from(node: ast.ImportFrom) -> Iterator[str]:
    """`from a import b` imports a, and a.b where that is a module."""
    base = node.module or ""
    yield base
    yield from (f"{base}.{a.name}" for a in node.names if module_file(f"{base}.{a.name}"))


def _dynamic(node: ast.Call, module: str) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in ("import_module", "__import__"):
        return
    target = node.args[0]
    if isinstance(target, ast.Constant):
        yield str(target.value)
        return
    # import_module(f"fedmvp.methods.{name}") or import_module(f"{__package__}.{name}")
    parts = target.values if isinstance(target, ast.JoinedStr) else []
    text = "".join(
        str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
        for part in parts
        if isinstance(part, ast.Constant | ast.FormattedValue)
    ).replace("{__package__}", module)
    package, _, rest = text.partition(".{")
    if not rest or "{" in package:
        raise ValueError(f"{module}: cannot tell what {ast.unparse(node)} imports")
    yield f"{package}.*"


def closure(
    module: str, chosen: Mapping[str, Collection[str]] | None = None, *, eager: bool = False
) -> frozenset[str]:
    """Return `module` and all of our modules it can import, directly or not.

    Parameters
    ----------
    chosen : mapping of package to module names, optional
        What a dynamic import of that package asks for; all of its modules where not given.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] not in OURS or name in found:
            continue
        if name.endswith(".*"):
            package = name.removesuffix(".*")
            names = (chosen or {}).get(package)
            waiting += [f"{package}.{n}" for n in (_children(package) if names is None else names)]
            continue
        found.add(name)
        waiting += imported(name, eager=eager)
        # Importing a module runs the __init__ of every package above it.
        waiting += [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
    return frozenset(name for name in found if module_file(name))


def _children(package: str) -> list[str]:
    folder = ROOT.joinpath(*package.split("."))
    return sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")


def third_party(names: Collection[str], *, eager: bool = False) -> frozenset[str]:
    """Return the top-level packages, other than ours, that these modules import."""
    tops = {target.split(".")[0] for name in names for target in imported(name, eager=eager)}
    return frozenset(tops - set(OURS))


@cache
def is_trivial(module: str) -> bool:
    """Tell whether a module only says what it is: docstring, version, ``__all__``."""
    file = module_file(module)
    assert file is not None
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return all(
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__"))
        or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in body
    )
