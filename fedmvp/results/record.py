"""run.json, what a run is, and metrics.json, its headline numbers.

Each is the last file its stage writes: where it stands, the stage's others stand, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_json, write_json
from fedmvp.results.cells import RERUN
from fedmvp.results.files import METRICS, RECORD
from fedmvp.results.key import RunKey

__all__ = ["RunRecord", "read_metrics", "read_record", "write_metrics", "write_record"]

_KINDS = {
    "fingerprint": str,
    "setting": str,
    "method": str,
    "seed": int,
    "params": dict,
    "inputs": dict,
}


@dataclass(frozen=True)
class RunRecord:
    """What run.json says.

    Attributes
    ----------
    fingerprint : str
        Hash of all that decides the result: parameters, inputs, setting, method and seed.
    params : mapping
        The resolved parameters; ``method`` is the method's own section.
    inputs : mapping of str to str
        File to the hash of its content.
    content : mapping
        All of the file.
    """

    key: RunKey
    fingerprint: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]
    content: Mapping[str, Any]


def write_record(folder: Path, content: Mapping[str, Any]) -> None:
    """Write run.json, which says that the training, or all of a method without one, is whole."""
    write_json(folder / RECORD, dict(content))


def write_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """Write metrics.json, which says that the evaluation is whole."""
    write_json(folder / METRICS, dict(metrics))


def read_record(path: Path) -> RunRecord:
    """Read run.json.

    Raises
    ------
    DataError
        When it is missing, or a part of it is missing or of another kind.
    """
    run = read_json(path)
    for name, kind in _KINDS.items():
        if not isinstance(run, dict) or not isinstance(run.get(name), kind):
            raise DataError(f"not a run record: no valid {name!r}", where=path, hint=RERUN)
    if isinstance(run["seed"], bool):
        raise DataError("not a run record: no valid 'seed'", where=path, hint=RERUN)
    key = RunKey(run["setting"], run["method"], run["seed"])
    inputs = {str(name): str(digest) for name, digest in run["inputs"].items()}
    return RunRecord(key, run["fingerprint"], run["params"], inputs, run)


def read_metrics(path: Path) -> dict[str, float]:
    """Read metrics.json: name to a fraction, sorted by name.

    Raises
    ------
    DataError
        When it is missing, no flat mapping, or a value is not in [0, 1].
    """
    value = read_json(path)
    if not isinstance(value, dict) or not value:
        raise DataError("not a flat mapping of metrics", where=path, hint=RERUN)
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise DataError(f"metric {key!r} is not a fraction in [0, 1]", where=path, value=number,
                            hint=RERUN)
    return {key: float(number) for key, number in sorted(value.items())}
