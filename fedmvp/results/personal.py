"""personal.json: the numbers of the personal evaluation, with the choices each depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_json, write_json
from fedmvp.results.cells import RERUN
from fedmvp.results.files import PERSONAL

__all__ = ["FINE_TUNED", "STABILITY", "PersonalResult", "read_personal", "write_personal"]

FINE_TUNED = "fine_tuned"
"""The value of `PersonalResult.choices` for a model fine-tuned on its client's images."""

STABILITY = "stability"
"""Prefix of the numbers that are means over the kept last rounds."""


@dataclass(frozen=True)
class PersonalResult:
    """The numbers computed from one matrix of models and images.

    Attributes
    ----------
    choices : mapping of str to str
        Which model, images, candidate classes, mean over clients and round.
    clients : mapping of str to int
        Numbers of all clients, of those without test images, and of those that no round selected.
    numbers : mapping of str to float
        ``global``, ``personal``, ``neighbour``, ``personal_base``, …; the fairness numbers as
        ``personal/std``, ``global/worst``, …; means over the kept rounds as ``stability/global``
        and ``stability/personal``. Fractions.
    """

    choices: Mapping[str, str]
    clients: Mapping[str, int]
    numbers: Mapping[str, float]


def write_personal(folder: Path, content: Mapping[str, Any]) -> None:
    """Write personal.json; empty content means that nothing was evaluated."""
    write_json(folder / PERSONAL, dict(content))


def read_personal(path: Path) -> tuple[PersonalResult, ...]:
    """Read personal.json: a result for each kind of model; none where nothing was evaluated.

    Raises
    ------
    DataError
        When it is not such a file, or a number is not in [0, 1].
    """
    value: Any = read_json(path) if path.is_file() else {}
    if value == {} or (isinstance(value, dict) and "numbers" not in value):
        return ()
    try:
        return tuple(_result(one) for one in (value, value.get(FINE_TUNED)) if one is not None)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"not a personal evaluation ({type(error).__name__}: {error})", where=path, hint=RERUN
        ) from None


def _result(value: Mapping[str, Any]) -> PersonalResult:
    flat = {
        f"{kind}/{name}": number
        for kind, found in value["fairness"].items()
        for name, number in found.items()
    }
    stable = value.get(STABILITY, {})
    flat |= {f"{STABILITY}/{name}": n for name, n in stable.get("numbers", {}).items()}
    numbers = {name: _fraction(n) for name, n in {**value["numbers"], **flat}.items()}
    choices = {str(key): str(choice) for key, choice in value["choices"].items()}
    if stable:
        choices["stability_rounds"] = str(int(stable["rounds"]))
    clients = {str(key): int(count) for key, count in value["clients"].items()}
    return PersonalResult(choices, clients, numbers)


def _fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not a fraction in [0, 1]")
    return float(value)
