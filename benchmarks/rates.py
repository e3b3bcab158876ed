"""One choice of learning rates for every method: scored one at a time, kept as they are found."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results_page import markdown_table
from benchmarks.tuning import best_trial
from fedmvp.config import load_params
from fedmvp.errors import ConfigError
from fedmvp.files import read_json, sha256_json, write_json
from fedmvp.methods import method_title
from fedmvp.wording import plural
from pipeline.support.run_context import RunContext

__all__ = ["Score", "Scores", "read_rates", "search", "section_at", "tuned_text", "tuning_table"]

Scores = Mapping[str, float | None]
"""By rate as text; None where training diverged."""

Score = Callable[[str, float, int], float | None]
"""From method, rate and seed to a score, higher is better; None where training diverged."""


def section_at(context: RunContext, rate: float) -> dict[str, Any]:
    """Return the method's section of params.yaml with another learning rate."""
    section = dict(context.params.methods[context.method])
    return section | {"federation": {**(section.get("federation") or {}), "learning_rate": rate}}


def search(
    record: Path,
    setting: str,
    rates: Sequence[float],
    seed: int,
    score: Score,
    arguments: Sequence[str] | None,
    description: str,
) -> None:
    """Score every method with every rate that is missing in `record`, and print the table.

    Raises
    ------
    ConfigError
        When `seed` is one of the results'.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--methods", nargs="+", help="by default run.trained of params.yaml")
    chosen = parser.parse_args(arguments)
    params = load_params()
    if seed in params.run.seeds:
        raise ConfigError(
            "seed is one of the results'", where="run.seeds", value=seed, hint="choose another"
        )
    methods: dict[str, Any] = read_json(record)["methods"] if record.is_file() else {}
    for name in chosen.methods or params.run.trained:
        identity = _identity(setting, name, seed)
        if methods.get(name, {}).get("identity") != identity:
            methods[name] = {"identity": identity, "scores": {}}
        scores = methods[name]["scores"]
        for rate in rates:
            if f"{rate:g}" in scores:
                continue
            start = time.monotonic()
            scores[f"{rate:g}"] = score(name, rate, seed)
            content = {"setting": setting, "seed": seed, "rates": rates, "methods": methods}
            write_json(record, content, sort_keys=False)
            seconds = time.monotonic() - start
            print(f"{name}, {rate:g}: {scores[f'{rate:g}']}, {seconds:.0f} s", flush=True)
    for row in tuning_table(read_rates(record)):
        print("  ".join(row))


def _identity(setting: str, name: str, seed: int) -> str:
    """Return a hash of all a score depends on besides the rate."""
    content = RunContext(setting, name).identity(seed, trained=True)
    del content["fingerprint"], content["params"]["federation"]["learning_rate"]
    content["params"]["method"].pop("federation")
    return sha256_json(content)


def read_rates(record: Path) -> dict[str, Scores]:
    """Return the scores of each method; empty where nothing is recorded."""
    if not record.is_file():
        return {}
    return {name: own["scores"] for name, own in read_json(record)["methods"].items()}


def tuning_table(rates: Mapping[str, Scores]) -> list[list[str]]:
    """Return a row per method: title, percent of each rate, the rate that won."""
    return [
        [
            method_title(name),
            *("diverged" if s is None else f"{100 * s:.2f}" for s in scores.values()),
            best_trial(scores) or "—",
        ]
        for name, scores in rates.items()
    ]


def tuned_text(
    rates: Mapping[str, Scores], trained: Sequence[str], seed: int, scored: str, command: str
) -> str:
    """Return a paragraph and a table in Markdown: how the rates of `trained` were chosen.

    Parameters
    ----------
    scored : str
        What a rate is scored by, e.g. "the accuracy of each client's model on held-out images".
    command : str
        The module that chose them.
    """
    if not set(trained) <= set(rates):
        return f"Nothing was chosen by `{command}` for all methods alike."
    own = {name: rates[name] for name in trained}
    names = list(next(iter(own.values())))
    ends = [method_title(n) for n, s in own.items() if best_trial(s) in (names[0], names[-1])]
    return (
        f"One tuning budget for all: {plural(len(names), 'learning rate')} on seed {seed} alone, "
        f"which no row below uses, scored by {scored} (`python -m {command}`). Knobs of methods "
        "are otherwise those of the profile `default`. The best rate is at an end of the range for "
        f"{', '.join(ends) or 'nobody'}.\n\n"
        + markdown_table(["method", *names, "chosen"], tuning_table(own))
    )
