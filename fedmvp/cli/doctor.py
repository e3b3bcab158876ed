"""``fedmvp doctor``: whether everything is in place for `make repro`."""

from __future__ import annotations

from typing import Annotated

import typer

from fedmvp.cli.output import say

__all__ = ["doctor"]


def doctor(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also hash every output and every object of DVC's cache."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check that everything is in place.

    Environment, parameters, data, weights, disk and device, each with its hint. The exit code is
    2 when there is a problem. --deep finds outputs damaged or changed since their stage wrote
    them: DVC restores objects of its cache without reading them again.
    """
    from dataclasses import asdict

    from fedmvp.cli.health import CHECKS, examine
    from fedmvp.cli.health_deep import DEEP_CHECKS
    from fedmvp.cli.output import print_json

    lines = []
    for line in examine(CHECKS | DEEP_CHECKS if deep else CHECKS):
        lines.append(line)
        if not as_json:
            verdict = "ok     " if line.ok else "problem"
            hint = f"; hint: {line.hint}" if line.hint else ""
            say(f"{verdict}  {line.check:<10}  {line.detail}{hint}")
    if as_json:
        print_json([asdict(line) for line in lines])
    if not all(line.ok for line in lines):
        raise typer.Exit(2)
