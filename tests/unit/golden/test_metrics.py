"""The gate that keeps published numbers still."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fedmvp.csv_files import write_csv
from fedmvp.errors import DataError
from fedmvp.files import write_json
from tests.golden.metrics import compare, measured, read, write

RESULTS: dict[str, Any] = {
    "msst/fedmvp/seed1": {"fingerprint": "f", "kind": "trained", "metrics": {"mean": 0.5}},
    "msst/zero_shot/seed1": {"fingerprint": "z", "kind": "zero_shot", "metrics": {"mean": 0.4}},
}


def changed(name: str, **entries: object) -> dict[str, Any]:
    results = deepcopy(RESULTS)
    results[f"msst/{name}/seed1"] |= entries
    return results


@pytest.mark.parametrize(
    ("results", "here", "elsewhere"),
    [
        (RESULTS, None, None),
        (changed("fedmvp", metrics={"mean": 0.5 + 1e-9}), "mean was 0.5, is 0.500000001", None),
        (changed("fedmvp", metrics={"mean": 0.52}), "mean was 0.5", None),
        (changed("fedmvp", metrics={"mean": 0.56}), "mean was 0.5", "fedmvp/seed1: mean was 0.5"),
        (changed("zero_shot", metrics={"mean": 0.43}), "mean was 0.4", "mean was 0.4, is 0.43"),
        (changed("fedmvp", metrics={"hm": 0.5}), "hm was None", "mean was 0.5, is None"),
        (changed("fedmvp", fingerprint="g"), "inputs changed", "fedmvp/seed1: parameters or inp"),
        ({"msst/fedmvp/seed1": RESULTS["msst/fedmvp/seed1"]}, "is gone", "zero_shot/seed1: is go"),
        (RESULTS | {"msst/new/seed1": {}}, "is new", "msst/new/seed1: is new"),
    ],
)
def test_exact_here_and_within_tolerance_elsewhere(
    results: dict[str, Any], here: str | None, elsewhere: str | None
) -> None:
    for key, complaint in (("this", here), ("that", elsewhere)):
        verdict = compare(results, {"this": RESULTS}, key, [1])
        assert verdict.exact == (key == "this")
        assert verdict.passed == (complaint is None)
        assert complaint is None or complaint in str(verdict)


def test_files_come_back_and_old_inputs_go(tmp_path: Path) -> None:
    assert write(tmp_path, "this", RESULTS) == tmp_path / "this.json"
    write(tmp_path, "that", RESULTS)
    assert read(tmp_path) == {"this": RESULTS, "that": RESULTS}
    newer = changed("fedmvp", fingerprint="g")
    write(tmp_path, "this", newer)
    assert read(tmp_path) == {"this": newer}
    with pytest.raises(DataError, match="no golden metrics"):
        compare(RESULTS, {}, "this", [1])


def test_results_are_read_from_their_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results"):
        measured(tmp_path)
    for name, result in RESULTS.items():
        folder = tmp_path / "results" / name
        write_json(folder / "metrics.json", result["metrics"])
        write_json(folder / "run.json", {"fingerprint": result["fingerprint"], "seed": 1})
        if result["kind"] == "trained":
            write_csv(folder / "rounds.csv", ("round",), [])
    assert measured(tmp_path) == RESULTS


def test_of_some_seeds_only_those_are_compared() -> None:
    golden = {"this": RESULTS | {"msst/fedmvp/seed2": RESULTS["msst/fedmvp/seed1"]}}
    assert compare(RESULTS, golden, "this", [1]).compared == 2
    assert "msst/fedmvp/seed2: is gone" in str(compare(RESULTS, golden, "this", [1, 2]))
