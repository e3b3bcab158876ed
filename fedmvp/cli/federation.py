"""``fedmvp federation``: the organiser's side of a federation of sites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedmvp.cli.output import say

if TYPE_CHECKING:
    from fedmvp.config import Params

__all__ = ["app"]

app = typer.Typer(
    name="federation",
    help="A federation of sites on machines of their own: the organiser's side.",
    no_args_is_help=True,
)

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The federation's folder.")]


@app.command()
def init(
    folder: _Folder,
    host: Annotated[str, typer.Option(help="Name of the server as sites reach it.")],
    site: Annotated[list[str], typer.Option(help="An agreed site; once for each.")],
    name: Annotated[str, typer.Option(help="Of the federation.")] = "fedmvp",
    port: Annotated[int, typer.Option(help="The server's only open port.")] = 8002,
    method: Annotated[str, typer.Option(help="A name that `fedmvp methods` shows.")] = "fedmvp",
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 1,
    rounds: Annotated[int | None, typer.Option(help="In place of params.yaml's.")] = None,
    minimum_sites: Annotated[
        int | None, typer.Option(help="Fewest sites of a round; else more than half.")
    ] = None,
) -> None:
    """Make a CA, the server's kit, a start-up kit for each site, and federation.yaml.

    What is trained is taken from params.yaml of this folder, else from the default profile, and
    stands in federation.yaml, to be edited before the first run.
    """
    from fedmvp.federation.flare.installed import require_flare

    require_flare()
    from fedmvp.federation.flare.kit import create_federation
    from fedmvp.federation.flare.settings import settings_of

    settings = settings_of(
        _params(),
        method,
        name=name,
        host=host,
        port=port,
        sites=tuple(site),
        seed=seed,
        minimum_sites=minimum_sites,
        rounds=rounds,
    )
    made = create_federation(folder, settings)
    say(f"settings {made.settings}: edit it before the first run")
    for each in settings.sites:
        say(f"kit      {made.kits / each}: hand it to {each} on a safe way")
    say(f"CA       {made.authority}: move it to a place that is offline")
    say(f"next     fedmvp federation serve {folder}")


@app.command()
def renew(
    folder: _Folder,
    site: Annotated[list[str], typer.Option(help="A site, `server` or `organiser`.")],
) -> None:
    """Issue new keys and certificates; the CA's folder must be back for it.

    Certificates last 360 days. A site replaces its kit's folder `startup` by the new one.
    """
    from fedmvp.federation.flare.kit import renew_kits
    from fedmvp.federation.flare.layout import Organiser
    from fedmvp.federation.flare.settings import read_settings

    organiser = Organiser.open(folder)
    settings = read_settings(organiser)
    renew_kits(organiser, settings, site)
    for name in site:
        if name in settings.sites:
            say(f"kit      {organiser.kits / name / 'startup'}: hand it to {name} on a safe way")


def _params() -> Params:
    """Return this folder's params.yaml, else the default profile."""
    from fedmvp.cli.profile import profile_params
    from fedmvp.config import load_params

    return load_params() if Path("params.yaml").is_file() else profile_params("default")
