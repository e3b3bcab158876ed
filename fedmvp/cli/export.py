"""``fedmvp export``: a trained method as a self-contained folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmvp.cli.output import say

__all__ = ["export"]


def export(
    result: Annotated[
        Path, typer.Argument(file_okay=False, help="results/<setting>/<method>/seed<k>")
    ],
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    fold: Annotated[str | None, typer.Option(help="Fold of a setting with several.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Whose classes are the default; else the run's first.")
    ] = None,
    backbone: Annotated[
        bool | None,
        typer.Option(
            "--backbone/--no-backbone",
            help="Include the frozen CLIP; by default if its weights ship with this package.",
        ),
    ] = None,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Add an ONNX graph for the default's classes (extra `onnx`)."),
    ] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="USER/NAME", help="Upload the folder to the Hugging Face Hub, too."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="With --push-to-hub: visible to everybody.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an older export.")] = False,
) -> None:
    """Write a trained method with its texts, preprocessing and model card.

    `fedmvp.load` reads the folder wherever the package is installed. Nothing leaves this machine
    unless --push-to-hub names a repository.
    """
    from fedmvp.errors import ConfigError
    from fedmvp.export.folder import export_folder
    from fedmvp.export.hub import check_repository, push
    from fedmvp.export.onnx import require_onnx

    if onnx:
        require_onnx()
    if push_to_hub is not None:
        check_repository(push_to_hub)
    elif public:
        raise ConfigError(
            "nothing is uploaded", where="--public", hint="drop it, or add --push-to-hub USER/NAME"
        )
    export_folder(
        folder,
        result,
        fold=fold,
        default_dataset=dataset,
        with_backbone=backbone,
        onnx=onnx,
        force=force,
    )
    say(f"exported: {folder}")
    if push_to_hub is not None:
        say(f"pushed: {push(folder, push_to_hub, private=not public)}")
