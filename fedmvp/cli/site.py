"""``fedmvp site``: one site's side of a federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmvp.cli.output import print_json, print_table, say

__all__ = ["app"]

app = typer.Typer(
    name="site",
    help="One site of a federation: its images stay here.",
    no_args_is_help=True,
)

_Kit = Annotated[Path, typer.Argument(metavar="KIT", help="The start-up kit of the organiser.")]


@app.command()
def init(
    kit: _Kit,
    images: Annotated[
        Path, typer.Option(metavar="TREE", help="TREE/<class>/, or TREE/{train,test}/<class>/.")
    ],
    attributes: Annotated[
        Path, typer.Option(metavar="FILE", help="Attribute texts of each class, JSON.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="For images that show many classes: columns image, a path in TREE, and classes, "
            "with ; between them.",
        ),
    ] = None,
    template: Annotated[str, typer.Option(help="Prompt template of a class.")] = "a photo of a {}.",
    known: Annotated[
        str, typer.Option(help="all, or half: the first half is trained on, the rest is new.")
    ] = "all",
    backbone: Annotated[str, typer.Option(help="Name of the federation's CLIP.")] = "pictoclip",
    backbone_weights: Annotated[Path | None, typer.Option(help="Its local weights.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="Its open_clip tag.")] = None,
) -> None:
    """Write site.yaml: where this site's images are, and what may leave. It is never sent."""
    from fedmvp.federation.flare.layout import Kit
    from fedmvp.federation.flare.site_setup import write_site
    from fedmvp.prediction.backbones import BackboneChoice

    found = Kit.open(kit)
    choice = BackboneChoice(backbone, backbone_weights, pretrained)
    write_site(found, images, attributes, choice, template=template, known=known, labels=labels)
    say(f"site     {found.site}: edit it to share less")
    say(f"policy   {found.local}: only jobs of installed code; no shell, no logs to the server")
    say(f"next     fedmvp site check {kit}")


@app.command()
def check(
    kit: _Kit,
    offline: Annotated[bool, typer.Option(help="Leave the connection out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check data, texts, CLIP, clock and connection, train a little, and list what would leave.

    Nothing is sent but a TLS handshake. Exit code 2 if something is wrong.
    """
    from fedmvp.federation.flare.layout import Kit
    from fedmvp.federation.flare.site_check import examine

    lines = list(examine(Kit.open(kit), connect=not offline))
    if as_json:
        print_json([vars(line) for line in lines])
    else:
        print_table(
            ("", "check", "found"),
            [("ok" if line.ok else "WRONG", line.check, line.detail) for line in lines],
        )
        for line in lines:
            if line.hint:
                say(f"hint     {line.check}: {line.hint}")
    if not all(line.ok for line in lines):
        raise typer.Exit(2)


@app.command()
def join(kit: _Kit) -> None:
    """Take part in the foreground until Ctrl-C; reconnects by itself after any interruption."""
    from fedmvp.federation.flare.installed import require_flare

    require_flare()
    from fedmvp.federation.flare.joining import stay
    from fedmvp.federation.flare.layout import Kit

    stay(Kit.open(kit), say)
