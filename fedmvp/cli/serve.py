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
            help="results/<setting>/<method>/seed<k>, or the folder of a logged model.json",
        ),
    ],
    fold: Annotated[str | None, typer.Option(help="Fold of a setting with several.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Whose classes are the default; else the run's first.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5001,
) -> None:
    """Classify images over HTTP until Ctrl-C: POST /classify, GET /healthz.

    There is no log-in, so it listens to this machine alone unless --host says otherwise. What a
    request may take is set by the environment (FEDMVP_SERVE_PIXELS and its like).
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
