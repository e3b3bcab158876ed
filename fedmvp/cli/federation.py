"""``fedmvp federation``: the organiser's side of a federation of sites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fedmvp.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from fedmvp.config import BackboneParams, Params
    from fedmvp.federation.flare.layout import Organiser
    from fedmvp.federation.flare.process import Process

__all__ = ["app"]

app = typer.Typer(
    name="federation",
    help="A federation of sites on their own machines: the organiser's side.",
    no_args_is_help=True,
)

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The federation's folder.")]


@app.command()
def init(
    folder: _Folder,
    host: Annotated[str, typer.Option(help="Name of the server as sites reach it.")],
    site: Annotated[list[str], typer.Option(help="An agreed site; once for each.")],
    name: Annotated[str, typer.Option(help="Name of the run.")] = "fedmvp",
    port: Annotated[int, typer.Option(help="The server's only open port.")] = 8002,
    method: Annotated[str, typer.Option(help="A name that `fedmvp methods` shows.")] = "fedmvp",
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 1,
    rounds: Annotated[
        int | None, typer.Option(help="Number of rounds; else that of params.yaml.")
    ] = None,
    task: Annotated[
        Literal["single", "multi"],
        typer.Option(help="Whether images show one class each, or many."),
    ] = "single",
    minimum_sites: Annotated[
        int | None,
        typer.Option(help="Fewest sites that must answer in a round; by default more than half."),
    ] = None,
) -> None:
    """Make a CA, the server's kit, a start-up kit for each site, federation.yaml and plan.json.

    What is trained is taken from params.yaml of this folder, else from the default profile. It
    is written to plan.json, and each kit has a copy; sites with a different one are refused.
    """
    from fedmvp.federation.flare.installed import require_flare

    require_flare()
    from fedmvp.clip.spec import BackboneSpec
    from fedmvp.federation.flare.kit import create_federation
    from fedmvp.federation.flare.settings import (
        FederationSettings,
        new_plan,
        require_site_names,
    )
    from fedmvp.files import read_json
    from fedmvp.sections import parse_section

    sites = tuple(site)
    require_site_names(sites, host)
    settings = parse_section(
        FederationSettings,
        {"authority": "federation", "host": host, "port": port},
        "fedmvp federation init",
    )
    params = _params()
    backbone = _backbone(params.backbone)
    plan = new_plan(
        params,
        method,
        name=name,
        sites=sites,
        seed=seed,
        backbone_sha256=BackboneSpec.model_validate(read_json(backbone / "spec.json")).tower_sha256,
        rounds=rounds,
        minimum_sites=minimum_sites,
        task=task,
    )
    made = create_federation(folder, settings, plan, backbone)
    say(f"settings {made.settings}")
    say(f"plan     {made.plan}: {method}, {plan.resolved().rounds} rounds, seed {seed}")
    for each in sites:
        say(f"kit      {made.kits / each}: send it to {each} over a secure channel; it holds a key")
    say(f"CA       {made.authority}: move it to a place that is offline")
    say(f"next     fedmvp federation serve {folder}")


@app.command()
def renew(
    folder: _Folder,
    site: Annotated[list[str], typer.Option(help="A site, or `server`, or `organiser`.")],
) -> None:
    """Issue new keys and certificates; the folder of the CA must be back in its place.

    Certificates are valid for 360 days. A site replaces its kit's folder `startup` by the new one.
    """
    from fedmvp.federation.flare.kit import renew_kits
    from fedmvp.federation.flare.layout import Organiser
    from fedmvp.federation.flare.settings import read_settings
    from fedmvp.federation.plan import load_plan

    organiser = Organiser.open(folder)
    sites = load_plan(organiser.plan).clients
    renew_kits(organiser, read_settings(organiser), sites, site)
    for name in site:
        if name in sites:
            startup = organiser.kits / name / "startup"
            say(f"kit      {startup}: send it to {name} over a secure channel")


@app.command()
def serve(folder: _Folder) -> None:
    """Run the federation in the foreground until its result files are complete.

    Ctrl-C stops it, and the same command resumes it: finished rounds are kept. Exit code 0 means
    that the results are complete.
    """
    from fedmvp.federation.flare.installed import require_flare

    require_flare()
    from fedmvp.federation.flare.layout import Organiser
    from fedmvp.federation.flare.serving import held, server_ahead

    organiser = Organiser.open(folder)
    with held(organiser), server_ahead(organiser) as server:
        _supervise(organiser, server)
    say(f"results  {organiser.results}")


@app.command()
def status(
    folder: _Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show how far a federation is, from its events; the server need not run."""
    from fedmvp.federation.flare.layout import Organiser
    from fedmvp.federation.flare.outcome import is_whole
    from fedmvp.federation.flare.progress import Progress
    from fedmvp.federation.plan import load_plan

    organiser = Organiser.open(folder)
    plan = load_plan(organiser.plan)
    progress = Progress.of(plan.clients)
    progress.read(organiser.events)
    done = is_whole(organiser, plan)
    rounds = plan.resolved().rounds
    if as_json:
        print_json({"finished": done, "rounds": rounds, **progress.as_dict()})
        return
    under_way = "not begun" if progress.round is None else f"round {progress.round + 1}"
    say(f"{'finished' if done else under_way}, {rounds} rounds, {progress.jobs} jobs")
    if progress.error:
        say(f"stopped  {progress.error}")
    print_table(
        ("site", "state", "round", "loss", "missed", "why"),
        [
            (
                name,
                site.state,
                "" if site.round is None else str(site.round + 1),
                "" if site.loss is None else f"{site.loss:.4f}",
                str(site.missed),
                site.note,
            )
            for name, site in progress.sites.items()
        ],
    )


@app.command(name="import")
def import_results(folder: _Folder) -> None:
    """Place a finished federation's files under results/: for MLflow, report, predict, export.

    The report has a section of its own for federations, since `dvc repro` cannot make them again.
    """
    from fedmvp.federation.flare.importing import import_results as place
    from fedmvp.federation.flare.layout import Organiser
    from fedmvp.federation.plan import load_plan

    organiser = Organiser.open(folder)
    key = place(organiser, load_plan(organiser.plan))
    say(f"results  {key.folder()}")
    say("next     fedmvp track sync; dvc repro report")


def _supervise(organiser: Organiser, server: Process | None) -> None:
    """Keep the federation going to its end."""
    from fedmvp.imports import uncollected

    with uncollected():  # torch among them
        from fedmvp.federation.flare.settings import read_settings
        from fedmvp.federation.flare.supervisor import Supervisor
        from fedmvp.federation.flare.table import live_display
        from fedmvp.federation.plan import load_plan, require_possible

    plan, settings = load_plan(organiser.plan), read_settings(organiser)
    require_possible(plan)
    with live_display(plan.resolved().rounds) as show:
        Supervisor(organiser, plan, settings, show, server).run()


def _params() -> Params:
    """Return this folder's params.yaml, else the default profile."""
    from fedmvp.config import load_params
    from fedmvp.profiles import profile_params

    return load_params() if Path("params.yaml").is_file() else profile_params("default")


def _backbone(params: BackboneParams) -> Path:
    from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone

    weights = Path(params.weights) if params.weights else None
    return prepare_backbone(BackboneChoice(params.name, weights, params.pretrained))
