"""dvc.lock in the order of `dvc repro`, whatever ended first."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cluster.graph import Graph, Stage
from pipeline.cluster.lock_order import locked_names, sort_lock

GRAPH = Graph(tuple(Stage(name, f"run {name}", (), (), "changed") for name in "abc"))


def lock_text(names: str) -> str:
    entries = "".join(
        f"  {name}:\n    cmd: run {name}\n    outs:\n    - path: {name}.out\n      hash: md5\n"
        f"      md5: d41d8cd98f00b204e9800998ecf8427e\n      size: 0\n"
        for name in names
    )
    return f"schema: '2.0'\nstages:\n{entries}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("before", "found", "sorted_"),
    [
        ("", "cab", "abc"),
        ("", "abc", "abc"),
        ("b", "bca", "bac"),  # what was there stays in front, as DVC leaves it
        ("ba", "bac", "bac"),
        ("", "cxa", "acx"),  # another process added x
    ],
)
def test_new_stages_are_in_the_order_of_the_graph(
    root: Path, before: str, found: str, sorted_: str
) -> None:
    (root / "dvc.lock").write_text(lock_text(found), encoding="utf-8")
    assert locked_names(root) == list(found)
    sort_lock(root, GRAPH, list(before))
    assert (root / "dvc.lock").read_text(encoding="utf-8") == lock_text(sorted_)


def test_where_nothing_ran_nothing_is_written(root: Path) -> None:
    sort_lock(root, GRAPH, [])
    assert locked_names(root) == []
    assert not (root / "dvc.lock").exists()
