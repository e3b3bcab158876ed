"""Which module of this repository imports which, read from the source with `ast`, without imports.

Imports inside functions count, because a stage runs them. Imports under ``if TYPE_CHECKING`` do
not count, nor do those in a package's own ``__getattr__``, which other modules trigger.
``import_module(f"package.{name}")`` stands for all modules of that package, or for those of
`chosen` if the caller knows which are imported.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["OURS", "Sources"]

OURS = ("fedmvp", "pipeline")


@dataclass(frozen=True)
class Sources:
    """The modules in a folder, as they were when first read.

    Parameters
    ----------
    root : Path
    packages : tuple of str, default=OURS
        Top-level packages in it that belong to the project.
    """

    root: Path
    packages: tuple[str, ...] = OURS
    _trees: dict[str, ast.Module] = field(default_factory=dict, repr=False, compare=False)
    _imported: dict[tuple[str, bool], frozenset[str]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def file(self, module: str) -> Path | None:
        """Return the file of one of our modules, None for a name that is none."""
        path = self.root.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
        return None

    def tree(self, module: str) -> ast.Module:
        """Return the syntax tree of one of our modules.

        Raises
        ------
        LookupError
            When there is no such module.
        """
        if module not in self._trees:
            file = self.file(module)
            if file is None:
                raise LookupError(f"{module} is not a module of this repository")
            self._trees[module] = ast.parse(file.read_text(encoding="utf-8"), str(file))
        return self._trees[module]

    def name(self, file: Path) -> str:
        """Return the dotted name of a source file."""
        parts = file.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def modules(self) -> list[str]:
        """Return all of our modules, sorted."""
        return sorted(
            self.name(file) for top in self.packages for file in (self.root / top).rglob("*.py")
        )

    def imported(self, module: str, *, eager: bool = False) -> frozenset[str]:
        """Return what `module` imports, ours and others; ``package.*`` for a dynamic import.

        Parameters
        ----------
        eager : bool, default=False
            Leave out imports inside functions: what loading the module alone costs.
        """
        if (module, eager) not in self._imported:
            found = frozenset(self._imports(self.tree(module), module, eager))
            self._imported[module, eager] = found
        return self._imported[module, eager]

    def closure(
        self,
        module: str,
        chosen: Mapping[str, Collection[str]] | None = None,
        *,
        eager: bool = False,
    ) -> frozenset[str]:
        """Return `module` and all of our modules it can import, directly or not.

        Parameters
        ----------
        chosen : mapping of package to module names, optional
            Modules that a dynamic import of a package loads; by default all modules of the package.
        """
        found: set[str] = set()
        waiting = [module]
        while waiting:
            name = waiting.pop()
            if name.split(".")[0] not in self.packages or name in found:
                continue
            if name.endswith(".*"):
                package = name.removesuffix(".*")
                names = (chosen or {}).get(package)
                every = self._children(package) if names is None else names
                waiting += [f"{package}.{child}" for child in every]
                continue
            if self.file(name) is None:
                continue
            found.add(name)
            waiting += self.imported(name, eager=eager)
            # Importing a module runs the __init__ of every package above it.
            waiting += [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
        return frozenset(found)

    def third_party(self, names: Collection[str], *, eager: bool = False) -> frozenset[str]:
        """Return the top-level packages, other than ours, that these modules import."""
        tops = {
            target.split(".")[0] for name in names for target in self.imported(name, eager=eager)
        }
        return frozenset(tops - set(self.packages))

    def is_trivial(self, module: str) -> bool:
        """Tell whether a module contains no code: only docstring, version, ``__all__``."""
        return all(
            (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__"))
            or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
            for node in self.tree(module).body
        )

    def _children(self, package: str) -> list[str]:
        folder = self.root.joinpath(*package.split("."))
        return sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")

    def _imports(self, node: ast.AST, module: str, eager: bool) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if eager and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(node, ast.Module) and getattr(child, "name", "") == "__getattr__":
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for statement in child.orelse:
                    yield from self._imports(statement, module, eager)
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                if child.level:
                    raise ValueError(f"{module}: relative import; write the module's full name")
                yield from self._from(child)
            elif isinstance(child, ast.Call):
                yield from _dynamic(child, module)
            yield from self._imports(child, module, eager)

    def _from(self, node: ast.ImportFrom) -> Iterator[str]:
        """`from a import b` imports a, and a.b where that is a module."""
        base = node.module or ""
        yield base
        yield from (f"{base}.{a.name}" for a in node.names if self.file(f"{base}.{a.name}"))


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
