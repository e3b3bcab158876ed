"""How commands end: errors a user can correct, in one line on stderr, exit code 2."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from fedmvp.errors import FedMVPError, one_line

__all__ = ["Commands"]

_DEBUG = "--debug"
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Commands(TyperGroup):
    """The top group: runs a command and turns its errors into one line each.

    ``--debug`` may stand anywhere on the command line.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move ``--debug`` to the front, where the top command takes it."""
        end = args.index("--") if "--" in args else len(args)
        options, names = args[:end], args[end:]
        if _DEBUG in options:
            args = [_DEBUG, *(word for word in options if word != _DEBUG), *names]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of our output has gone; typer ends quietly
            raise
        except (FedMVPError, OSError) as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            typer.echo(f"error: {_line(error)}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)


def _line(error: FedMVPError | OSError) -> str:
    if isinstance(error, FedMVPError):
        return str(error)
    name = f"{one_line(str(error.filename))}: " if error.filename else ""
    what = error.strerror or one_line(str(error))
    return f"{name}{what}; hint: check the path, its permissions and the disk"
