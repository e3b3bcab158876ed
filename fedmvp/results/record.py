"""run.json, which describes a run, and metrics.json, its main results.

Each is the last file its stage writes: if it exists, the stage's other files do, too.
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
    """The content of run.json.

    Attributes
    ----------
    fingerprint : str
        Hash of everything that determines the result: parameters, inputs, setting, method, seed.
    params : mapping
        The resolved parameters; ``method`` is the method's own section.
    inputs : mapping of str to str
        Hash of each file's content.
    content : mapping
        The whole content of the file.
    """

    key: RunKey
    fingerprint: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]
    content: Mapping[str, Any]


def write_record(folder: Path, content: Mapping[str, Any]) -> None:
    """Write run.json, which marks training as complete, or the whole run of a zero-shot method."""
    write_json(folder / RECORD, dict(content))


def write_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """Write metrics.json, which marks the evaluation as complete."""
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
        When it is missing, not a flat mapping, or a value is not in [0, 1].
    """
    value = read_json(path)
    if not isinstance(value, dict) or not value:
        raise DataError("not a flat mapping of metrics", where=path, hint=RERUN)
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise DataError(
                f"metric {key!r} is not a fraction in [0, 1]", where=path, value=number, hint=RERUN
            )
    return {key: float(number) for key, number in sorted(value.items())}
