"""The command line ``fedmvp``.

Modules here import nothing heavier than typer when loaded: what a command needs is imported inside
it, so that ``fedmvp --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

import fedmvp
from fedmvp.cli import attributes, datasets, federation, profile, site, track
from fedmvp.cli.bench import bench
from fedmvp.cli.commands import Commands
from fedmvp.cli.doctor import doctor
from fedmvp.cli.export import export
from fedmvp.cli.import_official import import_official
from fedmvp.cli.methods import methods
from fedmvp.cli.predict import predict
from fedmvp.cli.probe import probe
from fedmvp.cli.run import run
from fedmvp.cli.serve import serve
from fedmvp.cli.settings import settings
from fedmvp.cli.watch import watch

__all__ = ["app"]

app = typer.Typer(
    name="fedmvp",
    cls=Commands,
    help="Federated multimodal visual prompt tuning for CLIP. `make repro` runs the pipeline; "
    "these commands look at it, choose its parameters and use its results.",
    no_args_is_help=True,
    # Tracebacks of bugs stay plain, and show no local variables.
    pretty_exceptions_enable=False,
    # Plain help: rich's takes a quarter of a second to import.
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedmvp {fedmvp.__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="FEDMVP_DEBUG", help="Show tracebacks of errors.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Accept the options that come before the command's name."""


app.command()(doctor)
app.command()(run)
app.add_typer(profile.app)
app.add_typer(datasets.app)
app.add_typer(attributes.app)
app.command()(settings)
app.command()(methods)
app.command()(predict)
app.command()(export)
app.command()(serve)
app.command()(probe)
app.command()(bench)
app.command()(watch)
app.command(name="import-official")(import_official)
app.add_typer(federation.app)
app.add_typer(site.app)
app.add_typer(track.app)
