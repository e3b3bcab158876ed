"""``fedmvp profile``: the shipped params.yaml files, and choosing one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["app", "changes"]

app = typer.Typer(
    name="profile",
    help="Complete params.yaml files to choose from.",
    no_args_is_help=True,
)

_PARAMS = Path("params.yaml")
_BACKUP = Path(".fedmvp/params.yaml.bak")


@app.command(name="list")
def list_profiles(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """List the shipped profiles; the one params.yaml equals is marked."""
    from fedmvp.cli.output import print_json, print_table
    from fedmvp.profiles import profile_names

    current = _current()
    rows = [_summary(name, current) for name in profile_names()]
    if as_json:
        print_json(rows)
        return
    header = ("", "profile", "backbone", "settings", "methods", "seeds", "rounds")
    print_table(
        header,
        [
            (
                "*" if row["in_use"] else "",
                row["profile"],
                row["backbone"],
                len(row["settings"]),
                len(row["methods"]),
                len(row["seeds"]),
                row["rounds"],
            )
            for row in rows
        ],
    )
    if current is None:
        say("params.yaml is missing: `fedmvp profile use default` writes it")
    elif not any(row["in_use"] for row in rows):
        say("params.yaml has been edited: it equals none of these")


@app.command()
def use(
    name: Annotated[str, typer.Argument(help="A name that `fedmvp profile list` shows.")],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an edited params.yaml.")
    ] = False,
) -> None:
    """Write a profile to params.yaml, and say which entries change.

    An edited params.yaml is only overwritten with --force; the old one is then kept in
    .fedmvp/params.yaml.bak.
    """
    from fedmvp.errors import ConfigError
    from fedmvp.files import write_bytes
    from fedmvp.output_files import write_output
    from fedmvp.profiles import profile_names, profile_text
    from fedmvp.yaml_files import load_yaml

    text, current = profile_text(name), _current()
    if current == text:
        say(f"params.yaml is profile {name} already")
        return
    edited = current is not None and current not in map(profile_text, profile_names())
    if edited and not force:
        raise ConfigError(
            "has entries of your own", where=_PARAMS, hint="commit or copy it, then use --force"
        )
    old: Any = {}
    if edited and current is not None:
        write_bytes(_BACKUP, _PARAMS.read_bytes())
        say(f"the old params.yaml is kept in {_BACKUP}")
    if current is not None:
        try:
            old = load_yaml(_PARAMS)
        except ConfigError:
            say("the old params.yaml was not valid YAML")
    write_output(_PARAMS, text.encode())
    lines = list(changes(old if isinstance(old, dict) else {}, load_yaml(_PARAMS)))
    for line in lines if old else ():
        say(line)
    say(f"params.yaml is now profile {name}; `dvc status` shows what will run")


def changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield one line per entry that differs.

    Examples
    --------
    >>> list(changes({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "d": 4}))
    ['a.b: 1 → 3', 'c: 2 → (none)', 'd: (none) → 4']
    """
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, "(none)"), new.get(key, "(none)")
        if isinstance(before, dict) and isinstance(after, dict):
            yield from changes(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}: {before} → {after}"


def _current() -> str | None:
    # The bytes of an edited file are kept, whatever they are.
    return _PARAMS.read_text("utf-8", "surrogateescape") if _PARAMS.is_file() else None


def _summary(name: str, current: str | None) -> dict[str, Any]:
    from fedmvp.profiles import profile_params, profile_text

    params = profile_params(name)
    run = params.run
    return {
        "profile": name,
        "in_use": profile_text(name) == current,
        "backbone": params.backbone.name,
        "suite": run.suite,
        "datasets": list(params.data.datasets),
        "settings": list(run.settings),
        "methods": [*run.zero_shot, *run.trained],
        "seeds": list(run.seeds),
        "rounds": params.federation.rounds,
    }
