"""Write the model card from the files that hold its numbers.

Run: `python -m pretrain.card` (after `pretrain.export` and `pretrain.evaluate`).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from safetensors import safe_open

from fedmvp.files import write_text
from pretrain.checkpoints import checkpoint_folder
from pretrain.export import FOLDER_OF_WEIGHTS
from pretrain.loop import UNITS
from pretrain.recipe import FOLDER, MADE, Recipe, load_recipe

__all__ = [
    "accuracy_table",
    "card",
    "coincidences",
    "hours",
    "leakage_table",
    "progress",
    "set_table",
]
_NAMED = 12  # sets that the leakage table gives a row of their own


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def accuracy_table(report: dict[str, Any], kind: str) -> str:
    """Return one row a dataset: chance, mean over styles, each style, in percent."""
    datasets = report["datasets"]
    styles = sorted({style for row in datasets.values() for style in row[kind]} - {"mean"})
    lines = [
        "| dataset | classes | chance | **mean** | " + " | ".join(styles) + " |",
        "|---" * (4 + len(styles)) + "|",
    ]
    for name, row in datasets.items():
        cells = [_percent(row[kind][style]) if style in row[kind] else "" for style in styles]
        lines.append(
            f"| {name} | {row['classes']} | {_percent(1 / row['classes'])} | "
            f"**{_percent(row[kind]['mean'])}** | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def set_table(sets: dict[str, Any]) -> str:
    """Return one row a licence: icons and sets."""
    by_licence: dict[str, list[str]] = defaultdict(list)
    for name, entry in sets.items():
        if entry["group"] != "validation":
            by_licence[entry["licence"]].append(name)
    lines = ["| licence | icons | sets |", "|---|---|---|"]
    for licence, names in sorted(by_licence.items(), key=lambda pair: -len(pair[1])):
        count = sum(sets[name]["icons"] for name in names)
        lines.append(f"| {licence} | {count} | {', '.join(sorted(names))} |")
    return "\n".join(lines)


def progress(weights: Path) -> dict[str, str]:
    """Say how many examples each phase saw, from the weights file's metadata."""
    with safe_open(weights, framework="pt") as file:
        seen = file.metadata()
    return {phase: f"{int(count):,}" if int(count) else "not run" for phase, count in seen.items()}


def leakage_table(screen: dict[str, Any]) -> str:
    """Return dropped copies by set: a row for the sets with most, one for all others."""
    rows = list(screen["by_set"].items())
    lines = ["| set | exact copies | near copies |", "|---|---|---|"]
    lines += [f"| {name} | {row['exact']} | {row['near']} |" for name, row in rows[:_NAMED]]
    rest = [row for _, row in rows[_NAMED:]]
    if rest:
        lines.append(
            f"| {len(rest)} other sets | {sum(row['exact'] for row in rest)} | "
            f"{sum(row['near'] for row in rest)} |"
        )
    return "\n".join(lines)


def coincidences(attributes: Iterable[str], texts: Iterable[str]) -> tuple[int, int]:
    """Return how many attribute phrases are training texts, too, and how many there are."""
    known = {text.lower() for text in texts}
    phrases = [phrase.lower() for phrase in attributes]
    return sum(phrase in known for phrase in phrases), len(phrases)


def hours(log: Path, unit: str) -> float | None:
    """Return about how long a phase trained, from its log's rates; None without a log."""
    if not log.exists():
        return None
    seconds, before = 0.0, 0
    for row in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
        done = int(row[unit])
        seconds += (done - before if done > before else 0) / max(1, row[f"{unit}_per_s"])
        before = done
    return seconds / 3600


def _recorded(report: dict[str, Any]) -> list[str]:
    """Return all attribute phrases shipped for the benchmark's datasets."""
    folder = FOLDER.parent / "fedmvp" / "attributes" / "recorded"
    files = [(folder / f"{task}.jsonl").read_text(encoding="utf-8") for task in report["datasets"]]
    return [
        phrase
        for text in files
        for line in text.splitlines()
        for phrase in json.loads(line)["attributes"]
    ]


def _duration() -> str:
    """Say how long each phase took."""
    spent = {
        name: hours(checkpoint_folder(name) / "log.jsonl", unit) for name, unit in UNITS.items()
    }
    known = [f"{name} {value:.1f} h" for name, value in spent.items() if value is not None]
    return ", ".join(known) if known else "not recorded"


def card(
    recipe: Recipe,
    report: dict[str, Any],
    screen: dict[str, Any],
    sets: dict[str, Any],
    shared: tuple[int, int],
    duration: str,
    note: str = "",
) -> str:
    """Return the model card, Markdown.

    Parameters
    ----------
    report, screen, sets : dict
        `evaluation.json`, `screen.json` and `sets.json`.
    shared : tuple of int
        What `coincidences` found of the benchmark's attributes among the training texts.
    duration : str
        How long the phases took.
    note : str
        Goes to the top.
    """
    rows = report["datasets"].values()
    full = all("attributes only" in row for row in rows)
    emoji = sum(sum(screen["by_set"].get(name, {}).values()) for name in recipe.icons.emoji)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Markdown
    )
    environment.filters["thousands"] = "{:,}".format
    return environment.get_template("card.md.j2").render(
        note=note,
        model=recipe.model,
        recipe=recipe,
        screen=screen,
        icon=accuracy_table(report, "icon"),
        plain=accuracy_table(report, "plain"),
        attributes=accuracy_table(report, "attributes only") if full else "",
        licences=set_table(sets),
        leakage=leakage_table(screen),
        emoji=emoji,
        shared=shared,
        duration=duration,
        phases=progress(FOLDER_OF_WEIGHTS / "model.safetensors"),
    )


def main() -> None:
    """Write the card beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--note", default="", help="a remark on these weights")
    note = parser.parse_args().note
    report = _read(FOLDER_OF_WEIGHTS / "evaluation.json")
    texts = [*_read(MADE / "texts.json"), *(text for text, _ in _read(MADE / "lexicon.json"))]
    text = card(
        load_recipe(),
        report,
        _read(MADE / "screen.json"),
        _read(MADE / "sets.json"),
        coincidences(_recorded(report), texts),
        _duration(),
        note,
    )
    write_text(FOLDER_OF_WEIGHTS / "MODEL_CARD.md", text)


if __name__ == "__main__":
    main()
