"""Reading, writing and comparing golden metrics.

A file holds the metrics of one platform: what decides how floating-point sums are ordered and
rounded. There, every metric has to be the same number; elsewhere it may differ by as much as a few
images, or a training that took another path from its first rounding on, can move it
(docs/reproducibility.md).
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_json, write_json

__all__ = ["FOLDER", "TOLERANCE", "Verdict", "compare", "measured", "platform_key", "read", "write"]

FOLDER = Path(__file__).parent
# Fractions. Without training only images at a tie can flip; a training multiplies roundings.
TOLERANCE = {"zero_shot": 0.02, "trained": 0.05}
_HINT = "run `make golden` if the change is meant, and commit tests/golden"

Results = Mapping[str, Mapping[str, Any]]
"""``<setting>/<method>/seed<k>`` → fingerprint, kind and metrics."""


def platform_key() -> str:
    """Return what the last bits of a result depend on, as a file name."""
    import torch

    parts = (
        platform.system(),
        _processor(),
        torch.backends.cpu.get_cpu_capability(),
        f"torch{torch.__version__}",
    )
    return "-".join(
        "".join(c if c.isalnum() or c in ".+" else "_" for c in p) for p in parts
    ).lower()


def _processor() -> str:
    """Return the kind of processor: libraries choose kernels by more than vector instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    named = [fields[k] for k in ("vendor_id", "cpu family", "model") if k in fields]
    return ".".join([platform.machine(), *named])


def measured(root: Path) -> dict[str, dict[str, Any]]:
    """Return the results of the folder of a repository.

    Raises
    ------
    DataError
        When there are none.
    """
    folders = sorted(path.parent for path in root.glob("results/*/*/seed*/metrics.json"))
    if not folders:
        raise DataError("no results", where="results", hint="run `dvc repro`")
    return {
        folder.relative_to(root / "results").as_posix(): {
            "fingerprint": read_json(folder / "run.json")["fingerprint"],
            "kind": "trained" if (folder / "rounds.csv").is_file() else "zero_shot",
            "metrics": read_json(folder / "metrics.json"),
        }
        for folder in folders
    }


def write(folder: Path, key: str, results: Results) -> Path:
    """Write the golden metrics of a platform, and forget other platforms' of other inputs."""
    path = folder / f"{key}.json"
    write_json(path, {"platform": key, "results": results})
    for other, golden in read(folder).items():
        if other != key and _fingerprints(golden) != _fingerprints(results):
            (folder / f"{other}.json").unlink()
    return path


def read(folder: Path) -> dict[str, Results]:
    """Return the golden metrics of every platform there is."""
    values = [read_json(path) for path in sorted(folder.glob("*.json"))]
    return {value["platform"]: value["results"] for value in values}


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison.

    Attributes
    ----------
    exact : bool
        Whether numbers had to be equal: the golden ones come from this platform.
    compared : int
        Number of metrics.
    faults : tuple of str
        A line for each number, or input, that is not as it was.
    """

    reference: str
    exact: bool
    compared: int
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as it was."""
        return not self.faults

    def __str__(self) -> str:
        how = "equal" if self.exact else f"within tolerance of {self.reference}"
        if self.passed:
            return f"golden metrics: {self.compared} {how}"
        lines = [f"golden metrics: {len(self.faults)} not {how}; hint: {_HINT}", *self.faults]
        return "\n".join(lines)


def compare(
    results: Results, golden: Mapping[str, Results], key: str, seeds: Iterable[int]
) -> Verdict:
    """Compare with the golden metrics of this platform, else with those of the first other one.

    Parameters
    ----------
    seeds : iterable of int
        Those of the results; golden metrics of others are left out.

    Raises
    ------
    DataError
        When there are no golden metrics.
    """
    if not golden:
        raise DataError("no golden metrics", where=FOLDER.name, hint=_HINT)
    reference = key if key in golden else min(golden)
    exact = reference == key
    folders = {f"seed{seed}" for seed in seeds}
    expected = {k: v for k, v in golden[reference].items() if k.rpartition("/")[2] in folders}
    faults, compared = [], 0
    for name in sorted(expected.keys() | results.keys()):
        old, new = expected.get(name), results.get(name)
        if old is None or new is None:
            faults.append(f"{name}: {'is new' if old is None else 'is gone'}")
            continue
        if old["fingerprint"] != new["fingerprint"]:
            faults.append(f"{name}: parameters or inputs changed")
        slack = 0.0 if exact else TOLERANCE[old["kind"]]
        for metric in sorted(old["metrics"].keys() | new["metrics"].keys()):
            before, now = old["metrics"].get(metric), new["metrics"].get(metric)
            compared += 1
            if before is None or now is None or abs(before - now) > slack:
                faults.append(f"{name}: {metric} was {before}, is {now}")
    return Verdict(reference, exact, compared, tuple(faults))


def _fingerprints(results: Results) -> dict[str, str]:
    return {name: result["fingerprint"] for name, result in results.items()}
