"""``fedmvp track``: write the results to MLflow, view them, log a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmvp.cli.output import say

__all__ = ["app"]

app = typer.Typer(
    name="track",
    help="Results and models in MLflow.",
    no_args_is_help=True,
)

Store = Annotated[
    str | None,
    typer.Option(help="Tracking URI; else FEDMVP_TRACKING_URI, MLFLOW_TRACKING_URI, .fedmvp."),
]
_ROOT = Path()


@app.command()
def sync(store: Store = None) -> None:
    """Write one MLflow run per result; runs that exist already are left alone."""
    from fedmvp.tracking.sync import sync as bring_in_line

    say(str(bring_in_line(_ROOT, store)))


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000, store: Store = None
) -> None:
    """Serve MLflow's pages to this machine, until Ctrl-C."""
    import subprocess

    from fedmvp.tracking.ui import page_address, ui_command, ui_environment

    command = ui_command(_ROOT, port=port, uri=store)
    environment = ui_environment(_ROOT, store)
    address = page_address(_ROOT, port=port, uri=store)
    say(f"MLflow: {address} (Ctrl-C stops it)", err=True)
    try:
        done = subprocess.run(command, env=environment, check=False)  # noqa: S603 - ours
        code = done.returncode
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code)


@app.command()
def model(
    result: Annotated[
        Path, typer.Argument(file_okay=False, help="results/<setting>/<method>/seed<k>")
    ],
    fold: Annotated[str | None, typer.Option(help="Fold, if the setting has several.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Dataset whose classes are the default; else the run's first."),
    ] = None,
    register: Annotated[str | None, typer.Option(help="Name in the model registry.")] = None,
    alias: Annotated[str | None, typer.Option(help="Alias of the registered version.")] = None,
    store: Store = None,
) -> None:
    """Log a trained method as an MLflow model to its run, for `mlflow models predict` or `serve`.

    The model does not contain the frozen backbone, only its name and hash; the hash is checked when
    the model loads.
    """
    from fedmvp.tracking.model import log_model

    logged = log_model(
        _ROOT,
        result,
        store=store,
        fold=fold,
        default_dataset=dataset,
        register=register,
        alias=alias,
    )
    say(logged.uri)
