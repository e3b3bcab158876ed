"""The architecture, as rules a change cannot break unseen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fedmvp
from fedmvp.results import files as result_files
from pipeline.support.imports import OURS
from tests.paths import ROOT, SOURCES

# Lowest first; a module imports from its own row or rows above it. The longest prefix counts.
LAYERS = (
    (
        "fedmvp",
        "fedmvp.csv_files",
        "fedmvp.devices",
        "fedmvp.dvc_lock",
        "fedmvp.errors",
        "fedmvp.files",
        "fedmvp.heat_map",
        "fedmvp.imports",
        "fedmvp.linear",
        "fedmvp.paths",
        "fedmvp.ports",
        "fedmvp.sections",
        "fedmvp.interruption",
        "fedmvp.output_files",
        "fedmvp.process_lock",
        "fedmvp.seeds",
        "fedmvp.shortcuts",
        "fedmvp.streams",
        "fedmvp.tensor_files",
        "fedmvp.wording",
        "fedmvp.yaml_files",
    ),
    # The schema of a section may live with the package it configures.
    (
        "fedmvp.config",
        "fedmvp.attributes.config",
        "fedmvp.multilabel_config",
        "fedmvp.partition_config",
    ),
    ("fedmvp.profiles",),
    ("fedmvp.catalog",),
    ("fedmvp.clip", "fedmvp.attributes", "fedmvp.data"),
    ("fedmvp.partition",),
    ("fedmvp.methods",),
    ("fedmvp.results",),
    ("fedmvp.federation", "fedmvp.evaluation", "fedmvp.prediction", "fedmvp.report"),
    ("fedmvp.api",),
    ("fedmvp.export", "fedmvp.tracking", "fedmvp.profiling", "fedmvp.service"),
    ("fedmvp.cli",),
    ("pipeline.support",),
    ("pipeline",),
)
# Libraries that only these modules may import, and only inside functions: each costs seconds.
OWNERS = {
    "mlflow": "fedmvp.tracking",
    "dvc": "pipeline.cluster",
    "ray": "pipeline.cluster",
    "open_clip": "fedmvp.clip.open_clip_models",
    "transformers": "fedmvp.attributes.providers.local_model",
    "opacus": "fedmvp.federation.aggregation.privacy",
    "prometheus_client": "fedmvp.service.metrics",
    "nvflare": "fedmvp.federation.flare",
    # Its generator defines published class lists; ours come from fedmvp.seeds.
    "random": "fedmvp.partition.schemes.few_shot_disjoint",
}
# Their classes are built from the library's; an engine loads them by name, in processes of its own.
NAMED_BY_JOBS = {
    "nvflare": tuple(
        f"fedmvp.federation.flare.{name}"
        for name in ("controller", "executor", "message", "site_filter")
    )
}
# torchvision and torch.optim classes cost seconds; pickle runs foreign code.
BANNED = ("torchvision", "pickle", "dill", "joblib", "timm")
TORCH_FREE_STAGES = ("download", "attributes", "partition", "report", "track")
MAX_LINES, MAX_STAGE_LINES = 300, 80

ALL = SOURCES.modules()


def layer(module: str) -> int:
    """Return the row of LAYERS with the longest prefix of `module`."""
    rows = [
        (len(prefix), row)
        for row, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or (prefix != "fedmvp" and module.startswith(f"{prefix}."))
    ]
    assert rows, f"{module} has no layer: give its package a place in LAYERS"
    return max(rows)[1]


def source(module: str) -> Path:
    """Return the file of a module that exists."""
    file = SOURCES.file(module)
    assert file is not None
    return file


def is_stage(file: Path) -> bool:
    """Tell whether a module of pipeline/ is run by itself; the others help those."""
    return file.parent.name == "pipeline" and '__name__ == "__main__"' in file.read_text("utf-8")


def test_imports_point_downwards() -> None:
    upwards = [
        f"{module} imports {name}"
        for module in ALL
        for name in sorted(SOURCES.imported(module))
        if name.split(".")[0] in OURS and layer(name.removesuffix(".*")) > layer(module)
    ]
    assert not upwards


def test_heavy_libraries_have_one_owner() -> None:
    wrong = [
        f"{module} imports {library}; only {owner} may"
        for module in ALL
        for library, owner in OWNERS.items()
        if library in SOURCES.third_party([module])
        and module != owner
        and not module.startswith(f"{owner}.")
    ]
    assert not wrong
    assert not [
        f"{module} imports {library} when loaded; import it in the function that needs it"
        for module in ALL
        for library in OWNERS
        if library in SOURCES.third_party([module], eager=True)
        and module not in NAMED_BY_JOBS.get(library, ())
    ]
    named = {module for modules in NAMED_BY_JOBS.values() for module in modules}
    assert not [
        f"{module} imports {name}, which loads an engine"
        for module in ALL
        if module not in named
        for name in sorted(SOURCES.imported(module) & named)
    ]


def test_banned_libraries_are_not_imported() -> None:
    assert not [(m, library) for m in ALL for library in SOURCES.third_party([m]) & set(BANNED)]


@pytest.mark.parametrize("stage", TORCH_FREE_STAGES)
def test_stages_without_tensors_load_no_heavy_library(stage: str) -> None:
    module = f"pipeline.{stage}"
    if SOURCES.file(module) is None:
        pytest.fail(f"{module} is missing")
    loaded = SOURCES.closure(module, eager=True)
    heavy = {"torch", "mlflow", "open_clip", "sklearn", "scipy", "pandas", "safetensors"}
    assert not SOURCES.third_party(loaded, eager=True) & heavy, {
        name: sorted(SOURCES.third_party([name], eager=True) & heavy)
        for name in loaded
        if SOURCES.third_party([name], eager=True) & heavy
    }


def test_nobody_here_asks_the_package_for_its_api() -> None:
    """What ``fedmvp.__getattr__`` imports is in no stage's closure: ask the modules themselves."""
    asked = {
        module: sorted(names)
        for module in ALL
        for node in ast.walk(SOURCES.tree(module))
        if isinstance(node, ast.ImportFrom) and node.module == "fedmvp"
        if (names := {alias.name for alias in node.names} & (set(fedmvp.__all__) - {"__version__"}))
    }
    assert set(asked) <= {"fedmvp"}
    assert "fedmvp.api" not in SOURCES.closure("pipeline.train")


def test_no_import_cycles() -> None:
    """Imports inside functions count: what they tie together cannot be read apart either."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"import cycle: {' -> '.join((*path, module))}"
        if module in done:
            return
        for name in sorted(SOURCES.imported(module)):
            # `from package import sibling` names the package, whose loading is under way.
            if SOURCES.file(name) and not f"{module}.".startswith(f"{name}."):
                visit(name, (*path, module))
        done.add(module)

    for module in ALL:
        visit(module, ())


def test_one_concept_a_file() -> None:
    long = {}
    for module in ALL:
        file = source(module)
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > (MAX_STAGE_LINES if is_stage(file) else MAX_LINES):
            long[module] = lines
    assert not long
    assert not [m for m in ALL if source(m).stem in ("utils", "util", "helpers", "common", "misc")]


def test_modules_say_what_they_are_for() -> None:
    trees = {m: ast.parse(source(m).read_text(encoding="utf-8")) for m in ALL}
    assert not [module for module, tree in trees.items() if not ast.get_docstring(tree)]


def test_every_package_is_one() -> None:
    folders = {file.parent for top in OURS for file in (ROOT / top).rglob("*.py")}
    assert not [f for f in folders if not (f / "__init__.py").exists()]


def test_stages_are_what_dvc_runs() -> None:
    """Every stage of dvc.yaml has its module, and what runs in pipeline/ is a stage."""
    import yaml

    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    assert {stage["cmd"].split()[2].removeprefix("pipeline.") for stage in stages} == {
        file.stem for file in (ROOT / "pipeline").glob("*.py") if is_stage(file)
    }


def test_names_of_result_files_have_one_home() -> None:
    # A backbone's and a bundle's tensors have the same name as a run's, so that one is left out.
    names = {getattr(result_files, name) for name in result_files.__all__} - {result_files.WEIGHTS}
    assert len(names) > 8
    elsewhere = [
        f"{module}:{node.lineno} names {node.value}"
        for module in ALL
        if not module.startswith("fedmvp.results.")
        for node in ast.walk(ast.parse(source(module).read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    # The report has tables and metrics of its own.
    assert [each for each in elsewhere if not each.startswith("fedmvp.report.tables:")] == []
