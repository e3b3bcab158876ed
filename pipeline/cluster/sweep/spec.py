"""The file of a sweep: which entries of params.yaml are varied, how, and what is compared."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from fedmvp.config import Params
from fedmvp.errors import ConfigError, nearest
from fedmvp.sections import Section, parse_section
from fedmvp.yaml_files import load_yaml

__all__ = ["MAX_TRIALS", "Overrides", "Range", "Sweep", "changed_params", "load_sweep"]

MAX_TRIALS = 1000
PARAMS = Path("params.yaml")

Overrides = Mapping[str, Any]
"""Values by dotted key of params.yaml."""


class Range(Section):
    """Numbers between two bounds; whole numbers if both bounds are.

    Parameters
    ----------
    log : bool, optional
        Whether all orders of magnitude are equally likely.
    """

    low: int | float
    high: int | float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _sound(self) -> Range:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError("low has to be below high")
        if self.log and self.low <= 0:
            raise ValueError("with log, low has to be above 0")
        return self


def _kind(value: Any) -> str:
    """Tell a list of values from a range, so that an error refers to the right one."""
    return "range" if isinstance(value, dict | Range) else "list"


_Values = Annotated[
    Annotated[list[Any], Tag("list")] | Annotated[Range, Tag("range")], Discriminator(_kind)
]


class Sweep(Section):
    """The file of a sweep.

    Parameters
    ----------
    name : str
        Beginning of the names of its experiments.
    params : dict of str to list or Range
        Values by key of params.yaml, as ``methods.fedmvp.n_prompts``.
    search : str, optional
        ``grid``: every combination. ``random``: as many draws as `trials`. ``optuna``: chosen by
        Optuna's tree-structured Parzen estimator from the scores of earlier trials.
    trials : int, optional
        Number of trials; for a grid, this is the number of combinations.
    metric : str
        Key of report/metrics.json, as ``base_to_new.fedmvp.hm``.
    goal : str, optional
        ``maximize`` or ``minimize``.
    seed : int, optional
        Seed of the draws.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    params: dict[str, _Values] = Field(min_length=1)
    search: Literal["grid", "random", "optuna"] = "grid"
    trials: int | None = Field(default=None, ge=1, le=MAX_TRIALS)
    metric: str = Field(min_length=1)
    goal: Literal["maximize", "minimize"] = "maximize"
    seed: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> Sweep:
        for key, values in self.params.items():
            if isinstance(values, list) and not values:
                raise ValueError(f"params.{key} has no values")
            if isinstance(values, list) and any(isinstance(value, dict) for value in values):
                raise ValueError(f"params.{key} is a section: name the entries in it")
            if isinstance(values, Range) and self.search == "grid":
                raise ValueError(f"params.{key} is a range, and a grid needs a list of values")
        if self.search == "grid" and self.trials is not None:
            raise ValueError("a grid has as many trials as combinations: leave trials out")
        if self.search == "grid" and self.size > MAX_TRIALS:
            raise ValueError(f"{self.size} combinations; at most {MAX_TRIALS} are tried")
        if self.search != "grid" and self.trials is None:
            raise ValueError(f"search {self.search} needs a number of trials")
        return self

    @property
    def size(self) -> int:
        """The number of combinations of a grid."""
        return math.prod(len(v) for v in self.params.values() if isinstance(v, list))

    @property
    def corners(self) -> list[dict[str, Any]]:
        """Every value and every bound at least once, with the first value of the other keys."""
        choices = {
            key: v if isinstance(v, list) else [v.low, v.high] for key, v in self.params.items()
        }
        first = {key: values[0] for key, values in choices.items()}
        return [{**first, key: value} for key, values in choices.items() for value in values]

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """All combinations of a grid, the last key varying fastest."""
        values = [v for v in self.params.values() if isinstance(v, list)]
        return [dict(zip(self.params, each, strict=True)) for each in itertools.product(*values)]


def load_sweep(path: Path, params: Path = PARAMS) -> Sweep:
    """Read the file of a sweep, and check its trials against params.yaml.

    Raises
    ------
    ConfigError
        For an unknown, missing or impossible entry, and for a value that params.yaml cannot have.
    """
    value = load_yaml(path)
    if not isinstance(value, dict):
        raise ConfigError(
            "not a mapping", where=path, value=value, hint="give name, params and metric"
        )
    sweep = parse_section(Sweep, value, str(path))
    base = load_yaml(params)
    # All trials of a grid can be checked; of other searches, all values and bounds.
    for trial in sweep.combinations if sweep.search == "grid" else sweep.corners:
        _require_possible(path, base, trial)
    return sweep


def changed_params(base: Mapping[str, Any], trial: Overrides, where: Path) -> dict[str, Any]:
    """Return params.yaml's content with a trial's values.

    Raises
    ------
    ConfigError
        When params.yaml has no such section.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(base))
    for key, value in trial.items():
        *sections, last = key.split(".")
        place: Any = changed
        for depth, name in enumerate(sections):
            if not isinstance(place.get(name), dict):
                known = [".".join([*sections[:depth], other]) for other in place]
                raise ConfigError(
                    "params.yaml has no such section",
                    where=f"{where}: params.{key}",
                    value=name,
                    hint=nearest(".".join(sections[: depth + 1]), known),
                )
            place = place[name]
        place[last] = value
    return changed


def _require_possible(path: Path, base: Mapping[str, Any], trial: Overrides) -> None:
    """Make sure that a trial's values are valid in params.yaml."""
    from fedmvp.methods.build import method_params, resolved_federation

    changed = changed_params(base, trial, path)
    try:
        params = parse_section(Params, changed, "params.yaml")
        for name in _methods(trial, params.methods):
            section = method_params(name, params.methods[name])
            resolved_federation(name, section, params.federation)
    except ConfigError as error:
        values = ", ".join(f"{key} {json.dumps(value)}" for key, value in trial.items())
        raise ConfigError(
            f"{error.where}: {error.what}", where=f"{path}: params", value=values, hint=error.hint
        ) from None


def _methods(trial: Overrides, methods: Mapping[str, Any]) -> Sequence[str]:
    """Return the methods whose sections a trial changes."""
    words = [key.split(".") for key in trial]
    return sorted({w[1] for w in words if w[0] == "methods" and len(w) > 2 and w[1] in methods})
