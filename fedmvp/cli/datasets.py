"""``fedmvp datasets``: the catalog, and checks of the images against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.anchor import anchor
from fedmvp.cli.output import say
from fedmvp.cli.own_data import add, remove
from fedmvp.cli.show import show
from fedmvp.wording import plural

if TYPE_CHECKING:
    from fedmvp.catalog.spec import DatasetSpec
    from fedmvp.cli.verification import DatasetReport

__all__ = ["app", "data_state"]

app = typer.Typer(
    name="datasets",
    help="The catalog of datasets, and their images.",
    no_args_is_help=True,
)
app.command()(add)
app.command()(remove)
app.command()(show)
app.command()(anchor)

_REPORTS = Path(".fedmvp/reports")
_SHOWN = 20
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command(name="list")
def list_datasets(as_json: AsJson = False) -> None:
    """List the catalog: classes, domains, images, and whether the images are on this machine."""
    from fedmvp.catalog.spec import dataset_names, load_spec
    from fedmvp.cli.output import print_json, print_table

    rows = [_summary(load_spec(name)) for name in dataset_names()]
    if as_json:
        print_json(rows)
        return
    header = ("dataset", "classes", "domains", "images", "state", "title")
    keys = ("dataset", "classes", "domains", "images", "state", "title")
    print_table(header, [["" if row[key] is None else row[key] for key in keys] for row in rows])


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="A dataset of the catalog.")],
    as_json: AsJson = False,
) -> None:
    """Check a dataset: archives, counts, classes, every image decodable, splits disjoint.

    Images that are missing are fetched first. The report is written below .fedmvp/reports; the
    exit code is 2 when there is a problem.
    """
    from dataclasses import asdict

    from fedmvp.catalog.spec import load_spec
    from fedmvp.cli.output import print_json
    from fedmvp.cli.verification import verify_dataset
    from fedmvp.config import load_params
    from fedmvp.files import write_json

    spec = load_spec(name)
    data = load_params().data
    with _progress(name) as advance:
        report = verify_dataset(spec, data, advance)
    path = _REPORTS / f"{name}.json"
    record = {"ok": report.ok, **asdict(report)}
    write_json(path, record)
    if as_json:
        print_json(record)
    else:
        _print_report(report, path)
    if not report.ok:
        raise typer.Exit(2)


def data_state(spec: DatasetSpec) -> str:
    """Return ``ready``, ``your own`` (used in place) or ``to fetch``."""
    from fedmvp.data.locations import dataset_folder
    from fedmvp.data.marker import MARKER

    folder = dataset_folder(spec.name, spec.raw_folders)
    if (folder / MARKER).is_file():
        return "ready"
    return "your own" if folder.is_dir() and any(folder.iterdir()) else "to fetch"


def _summary(spec: DatasetSpec) -> dict[str, Any]:
    from fedmvp.data.manifest_files import load_manifest
    from fedmvp.paths import manifest_path

    path = manifest_path(spec.name)
    images = len(load_manifest(path).images) if path.is_file() else spec.counts.images
    return {
        "dataset": spec.name,
        "title": spec.title,
        "classes": len(spec.classes),
        "domains": len(spec.domain_names),
        "images": images,
        "state": data_state(spec),
        "licence": spec.licence,
    }


def _print_report(report: DatasetReport, path: Path) -> None:
    splits = ", ".join(f"{count:,} {name}" for name, count in report.splits.items())
    say(
        f"{report.dataset}: {plural(report.classes, 'class')}, "
        f"{plural(report.domains, 'domain')}, {plural(report.images, 'image')} "
        f"({splits})"
    )
    if report.split:
        say(f"split    {report.split}")
    for fact in report.unverified:
        say(f"unverified {fact}")
    for note in report.notes:
        say(f"note     {note}")
    for problem in report.problems[:_SHOWN]:
        say(f"problem  {problem}")
    if len(report.problems) > _SHOWN:
        say(f"         … and {len(report.problems) - _SHOWN} more")
    verdict = "ok" if report.ok else plural(len(report.problems), "problem")
    say(f"{verdict}; report: {path}")


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar on stderr, where that is a terminal, from (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"decoding {name}", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
