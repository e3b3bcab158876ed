"""What no module of ours may do with bytes from elsewhere, read from the source with `ast`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

CODE = ("fedmvp", "pipeline", "pretrain", "data/emoji", "benchmarks")
# Modules that turn bytes into code or objects of any kind.
BANNED_MODULES = frozenset(
    {
        "pickle",
        "_pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "joblib",
        "marshal",
        "shelve",
        "jsonpickle",
    }
)
BANNED_CALLS = frozenset({"eval", "exec", "compile", "__import__"})
# The one place of each call that needs care.
ONLY_IN = {
    "torch.load": ("fedmvp/clip/torch_files.py", "pretrain/checkpoints.py"),
    "yaml.load": ("fedmvp/yaml_files.py",),
    "tarfile.open": ("fedmvp/data/fetch/archives.py", "pretrain/fetch.py"),
}
NEVER = frozenset(
    {
        "torch.jit.load",
        "torch.hub.load",
        "torch.package.PackageImporter",
        "os.system",
        "os.popen",
        "yaml.unsafe_load",
        "yaml.full_load",
        "yaml.load_all",
        "subprocess.getoutput",
        "subprocess.getstatusoutput",
        "shutil.unpack_archive",
        "tempfile.mktemp",
    }
)


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` of a name or attribute, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def keyword(call: ast.Call, name: str) -> object:
    """Return the constant a call gives a keyword; its source where it is none."""
    found = next((k.value for k in call.keywords if k.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else found and ast.unparse(found)


def faults(source: str, file: str) -> Iterator[str]:
    """Yield what one file may not do."""
    for node in ast.walk(ast.parse(source)):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            for name in [module] if module else [alias.name for alias in node.names]:
                if name.split(".")[0] in BANNED_MODULES:
                    yield f"{where}: imports {name}"
            for name in [f"{module}.{alias.name}" for alias in node.names]:
                if name in NEVER or name in ONLY_IN:
                    yield f"{where}: imports {name} by its last name"
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in BANNED_CALLS or name in NEVER:
            yield f"{where}: calls {name}"
        if file not in ONLY_IN.get(name, (file,)):
            yield f"{where}: calls {name} outside {', '.join(ONLY_IN[name])}"
        if name == "torch.load" and keyword(node, "weights_only") is not True:
            yield f"{where}: torch.load without weights_only=True"
        if name == "yaml.load" and keyword(node, "Loader") != "_PlainLoader":
            yield f"{where}: yaml.load without our loader"
        if name.endswith(".load") and keyword(node, "allow_pickle") not in (None, False):
            yield f"{where}: numpy.load with pickles"
        if keyword(node, "shell") not in (None, False):
            yield f"{where}: starts a shell"
        # A zip's names are kept inside by zipfile itself; what is fetched there is pinned by hash.
        if name.endswith(".extractall") and file != "pretrain/fetch.py":
            yield f"{where}: extracts an archive unchecked"


def files() -> list[Path]:
    return sorted(path for top in CODE for path in (ROOT / top).rglob("*.py"))


def test_no_foreign_code_is_ever_run() -> None:
    found = [
        fault
        for path in files()
        for fault in faults(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "from torch import load",
        "eval(text)",
        "os.system(command)",
        "torch.jit.load(path)",
        "torch.load(path, weights_only=True)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "archive.extractall(folder)",
    ],
)
def test_the_rules_see_what_they_forbid(line: str) -> None:
    assert list(faults(line, "fedmvp/somewhere.py"))
    assert list(faults("torch.load(path)", "fedmvp/clip/torch_files.py"))


def test_our_yaml_loader_makes_plain_values_only() -> None:
    import yaml

    from fedmvp.yaml_files import _PlainLoader

    assert issubclass(_PlainLoader, yaml.SafeLoader)
    own: dict[object, Callable[..., object]] = _PlainLoader.yaml_constructors
    assert own.keys() == yaml.SafeLoader.yaml_constructors.keys()
