"""Documents say what code does: commands, variables, columns, pages written from code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fedmvp.results.predictions import PREDICTION_COLUMNS
from fedmvp.results.rounds import ROUND_COLUMNS
from fedmvp.results.targets import TARGET_COLUMNS
from tests.paths import ROOT
from tests.unit.docs.blocks import blocks, pages

DOCS = ROOT / "docs"
_NAME = re.compile(r"FEDMVP_[A-Z_]*[A-Z]")


def loaded(name: str) -> ModuleType:
    """Return a module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", pages())
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    for block in blocks(page):
        if block.reason is None:
            continue
        assert len(block.reason) > 10
        for cited in re.findall(r"(?:tests|docs)/[\w/]+(?:\.py|\.md)?|\.ci/run", block.reason):
            assert (ROOT / cited).exists(), f"{page}: {cited} is not there"


def test_every_block_is_found() -> None:
    for page in pages():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert text.count("```sh") == len(blocks(page)), page
        marks = re.findall(r"^ *<!-- not run: ", text, flags=re.MULTILINE)
        assert len(marks) == sum(block.reason is not None for block in blocks(page)), page


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_variable_is_documented() -> None:
    listed = subprocess.run(
        [
            "git",
            "grep",
            "--untracked",
            "-hoE",
            "FEDMVP_[A-Z_]*[A-Z]",
            "--",
            "fedmvp",
            "pipeline",
            "pretrain",
            "benchmarks",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    page = (DOCS / "reference/environment.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(FEDMVP_[A-Z_]+)` \|", page, flags=re.MULTILINE)
    assert rows == sorted(set(rows))
    assert set(rows) == set(listed.stdout.split())
    for path in sorted(DOCS.rglob("*.md")):
        assert set(_NAME.findall(path.read_text(encoding="utf-8"))) <= set(rows), path.name


@pytest.mark.parametrize("name", ["cli.md", "params.md"])
def test_a_page_written_from_code_is_up_to_date(name: str) -> None:
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == loaded("generate").PAGES[name](), "run `python docs/generate.py`"


def test_every_parameter_has_a_meaning() -> None:
    page = (DOCS / "reference/params.md").read_text(encoding="utf-8")
    assert not [
        line for line in page.splitlines() if re.match(r"\| `\w+` ", line) and line.endswith("|  |")
    ]


def section(page: str, heading: str) -> str:
    """Return what stands below a heading, up to the next."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return text.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("targets.csv", TARGET_COLUMNS),
        ("predictions.csv", PREDICTION_COLUMNS),
        ("rounds.csv", ROUND_COLUMNS),
    ],
)
def test_columns_are_those_written(file: str, columns: tuple[str, ...]) -> None:
    cells = re.findall(r"^\| (`.*?`) \| ", section("reference/files.md", file), re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", " ".join(cells))) == columns


def test_tables_of_the_report_are_listed() -> None:
    """By the source: making a report takes results."""
    code = (ROOT / "fedmvp/report/tables.py").read_text(encoding="utf-8")
    page = (DOCS / "reference/files.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)\.csv` \| (.*) \|$", page, flags=re.MULTILINE))
    found = re.findall(r'tables / "(\w+)\.csv",\s*\[(.*?)\]', code, flags=re.DOTALL)
    assert [name for name, _ in found] == list(rows)
    for name, columns in found:
        written = [*re.findall(r'"(\w+)"', columns)]
        written += ["mean", "std", "seeds"] if "*_ESTIMATE" in columns else []
        if name == "targets":
            written = ["setting", "accuracy", "method", "mean", "std", "seeds"]
        assert re.findall(r"`(\w+)`", rows[name]) == written


def test_files_of_a_result_are_listed() -> None:
    page = (DOCS / "reference/files.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^### (\S+\.\w+)$", page, flags=re.MULTILINE))
    stages = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"seed\$\{item\.seed\}/(\S+)", stages)) <= headings


class _Page:
    """What mkdocs gives a hook of a page."""

    def __init__(self, uri: str) -> None:
        self.file = self
        self.src_uri = uri


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[params.yaml](../params.yaml)", "`params.yaml`"),
        ("[the rules](../CONTRIBUTING.md#rules)", "the rules (`CONTRIBUTING.md`)"),
        ("[in](method.md#rounds) ![out](../x.png)", "[in](method.md#rounds) ![out](../x.png)"),
        ("`[a](../b)` [web](https://a.b/../c)", "`[a](../b)` [web](https://a.b/../c)"),
    ],
)
def test_links_out_of_the_documents_become_names(text: str, expected: str) -> None:
    hooks = loaded("hooks")
    assert hooks.on_page_markdown(text, page=_Page("ablations.md"), config=None) == expected


def test_the_navigation_leads_to_pages() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"([\w/]+\.md)$", text.split("\nnav:\n")[1], flags=re.MULTILINE)
    assert all((DOCS / name).is_file() for name in listed)
    own: list[Any] = [path.relative_to(DOCS).as_posix() for path in _own_pages()]
    assert set(own) <= set(listed)
    assert len(re.findall(r"^  - ", text.split("\nnav:\n")[1], flags=re.MULTILINE)) == 4


def _own_pages() -> list[Path]:
    folders = (DOCS / "howto", DOCS / "reference")
    return [DOCS / "index.md", DOCS / "tutorial.md", *(p for f in folders for p in f.rglob("*.md"))]
