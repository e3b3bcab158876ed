"""``fedmvp serve``: answer requests over HTTP with a trained method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["serve"]


def serve(
    model: Annotated[
        Path,
        typer.Argument(
            file_okay=False,
            help="results/<setting>/<method>/seed<k>, an export, or a logged model's folder",
        ),
    ],
    fold: Annotated[str | None, typer.Option(help="Fold, if the setting has several.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Dataset whose classes are the default; else the run's first."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5001,
) -> None:
    """Classify images over HTTP until Ctrl-C: a page to drop one on, and POST /classify.

    There is no log-in, so it accepts connections from this machine only, unless --host says
    otherwise. Variables such as FEDMVP_SERVE_PIXELS limit what a request may take.
    """
    from fedmvp.devices import prepare_device
    from fedmvp.ports import require_free
    from fedmvp.prediction.limits import Limits
    from fedmvp.prediction.served import open_served
    from fedmvp.service.server import serve as run

    require_free(host, port, "fedmvp serve")
    limits = Limits.from_environment()
    served = open_served(model, fold=fold, default_dataset=dataset, device=prepare_device())
    run(served, limits, host, port)
