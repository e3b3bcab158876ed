"""How commands end: an error the user can correct is one line on stderr, with exit code 2."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from fedmvp.errors import error_line
from fedmvp.interruption import Stopped, listening, raise_if_stopped
from fedmvp.streams import flush_stdout, open_closed_streams

__all__ = ["Commands"]

_DEBUG = "--debug"


class Commands(TyperGroup):
    """The top group: runs a command and turns an error into one line.

    ``--debug`` may be given anywhere on the command line.
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
        open_closed_streams()
        try:
            with listening():
                return self._invoke(ctx)
        except BrokenPipeError:  # the reader of our output has gone; typer ends quietly
            raise
        except Stopped as stopped:
            typer.echo(str(stopped), err=True)
            sys.exit(stopped.exit_code)
        except Exception as error:
            if (line := error_line(error, "check the path, its permissions and the disk")) is None:
                raise
            if ctx.params.get("debug"):
                traceback.print_exc()
            with contextlib.suppress(OSError):
                flush_stdout()
            typer.echo(f"error: {line}", err=True)
            raise typer.Exit(2) from None

    def _invoke(self, ctx: Any) -> Any:
        """Run the command; after a signal, report the signal and not an error that follows it."""
        try:
            result = super().invoke(ctx)
            flush_stdout()  # a full disk is reported here, not after the end
        except typer.Exit:
            raise
        except Exception:
            raise_if_stopped()
            raise
        raise_if_stopped()
        return result
