"""How a sweep chooses its trials: a whole grid, random draws, or Optuna's proposals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from fedmvp.errors import ConfigError
from fedmvp.seeds import numpy_generator
from pipeline.cluster.sweep.spec import Overrides, Range, Sweep

__all__ = ["Search", "open_search"]

_DRAWS = 100


class Search(Protocol):
    """A rule that proposes trials and is told their scores."""

    def propose(self, count: int) -> list[Overrides]:
        """Return the next trials: `count` of them if later ones depend on their scores, else all.

        An empty list means that none is left.
        """

    def tell(self, trial: Overrides, score: float | None) -> None:
        """Record a trial's score; None if it failed."""


def open_search(sweep: Sweep) -> Search:
    """Return the search of a sweep.

    Raises
    ------
    ConfigError
        When it needs Optuna, which is not installed.
    """
    if sweep.search == "optuna":
        return _Optuna(sweep)
    return _Listed(sweep.combinations if sweep.search == "grid" else _drawn(sweep))


class _Listed:
    """Trials that are known from the beginning."""

    def __init__(self, trials: list[dict[str, Any]]) -> None:
        self._trials = trials

    def propose(self, count: int) -> list[Overrides]:
        """Return all of them, once."""
        trials, self._trials = self._trials, []
        return list(trials)

    def tell(self, trial: Overrides, score: float | None) -> None:
        """Do nothing: the trials do not depend on scores."""


def _drawn(sweep: Sweep) -> list[dict[str, Any]]:
    """Return distinct random trials: fewer than asked for if there are not as many."""
    assert sweep.trials is not None
    found: dict[str, dict[str, Any]] = {}
    for number in range(_DRAWS * sweep.trials):
        generator = numpy_generator(sweep.seed, "sweep", number)
        trial = {key: _draw(values, generator) for key, values in sweep.params.items()}
        found.setdefault(json.dumps(trial), trial)
        if len(found) == sweep.trials:
            break
    return list(found.values())


def _draw(values: list[Any] | Range, generator: np.random.Generator) -> Any:
    if isinstance(values, list):
        return values[int(generator.integers(len(values)))]
    low, high = values.low, values.high
    # Each whole number, also a bound, gets the same share: the interval that rounds to it.
    spread = 0.5 if values.whole else 0.0
    if values.log:
        bounds = math.log(low - spread), math.log(high + spread)
        number = math.exp(generator.uniform(*bounds))
    else:
        number = generator.uniform(low - spread, high + spread)
    number = min(max(number, low), high)
    return round(number) if values.whole else float(f"{number:.6g}")


class _Optuna:
    """Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), in memory.

    Trials under way count as bad until they have a score, so that nearby ones are not proposed.
    """

    def __init__(self, sweep: Sweep) -> None:
        try:
            import optuna
        except ImportError:
            raise ConfigError(
                "Optuna is not installed",
                where="search",
                value="optuna",
                hint="install the extra `sweep`: uv pip install -e '.[sweep]'; or search random",
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._left = optuna, sweep.trials or 0
        self._kinds = {key: _distribution(optuna, v) for key, v in sweep.params.items()}
        self._lists = {key for key, values in sweep.params.items() if isinstance(values, list)}
        sampler = optuna.samplers.TPESampler(seed=sweep.seed, constant_liar=True)
        self._study = optuna.create_study(sampler=sampler, direction=sweep.goal)
        self._asked: list[tuple[Overrides, Any]] = []

    def propose(self, count: int) -> list[Overrides]:
        """Return as many trials as run at once."""
        trials: list[Overrides] = []
        for _ in range(min(count, self._left)):
            asked = self._study.ask(self._kinds)
            trial = self._values(asked.params)
            self._asked.append((trial, asked))
            trials.append(trial)
        self._left -= len(trials)
        return trials

    def tell(self, trial: Overrides, score: float | None) -> None:
        """Tell Optuna; a trial it has proposed twice is reported twice."""
        for number, (asked, own) in enumerate(self._asked):
            if asked == trial:
                del self._asked[number]
                failed = self._optuna.trial.TrialState.FAIL
                self._study.tell(own, score, state=failed if score is None else None)
                return

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {k: json.loads(v) if k in self._lists else v for k, v in params.items()}


def _distribution(optuna: Any, values: list[Any] | Range) -> Any:
    """Return what Optuna draws from; it does not accept lists, so such values are JSON."""
    if isinstance(values, list):
        return optuna.distributions.CategoricalDistribution([json.dumps(v) for v in values])
    kind = "IntDistribution" if values.whole else "FloatDistribution"
    return getattr(optuna.distributions, kind)(values.low, values.high, log=values.log)
