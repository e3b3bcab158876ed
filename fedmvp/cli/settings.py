"""``fedmvp settings``: every client and target of a setting, from manifests alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say

if TYPE_CHECKING:
    from fedmvp.config import Params
    from fedmvp.data.manifest import Manifest
    from fedmvp.partition.model import Partition

__all__ = ["settings"]


def settings(
    name: Annotated[str | None, typer.Argument(help="A setting of params.yaml's suite.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw clients by classes, area by images, into this .svg file."),
    ] = None,
) -> None:
    """List settings, or the clients of one.

    With a name: every client and every target, from manifests alone. Only --plot writes a file.
    """
    from fedmvp.cli.output import print_json, print_table
    from fedmvp.config import load_params
    from fedmvp.partition.setting_spec import setting_names

    if plot is not None:
        _require_plottable(name, plot)
    params = load_params()
    if name is not None:
        partition = _partition(params, name)
        if plot is not None:
            _draw(partition, params, plot)
        if as_json:
            print_json(_record(partition))
        else:
            _print_setting(partition)
        return
    rows = [_summary(params, known) for known in setting_names(params.run.suite)]
    if as_json:
        print_json(rows)
        return
    header = ("", "setting", "folds", "clients", "targets", "title")
    print_table(
        header,
        [
            (
                "*" if row["in_run"] else "",
                row["setting"],
                *("—" if row[key] is None else row[key] for key in ("folds", "clients", "targets")),
                row["title"],
            )
            for row in rows
        ],
    )
    for problem in dict.fromkeys(row["problem"] for row in rows if row["problem"]):
        say(problem)


def _partition(params: Params, name: str) -> Partition:
    """Make the partition as the stage does, in memory."""
    from fedmvp.partition.build import build_partition
    from fedmvp.partition.folds import datasets_of
    from fedmvp.partition.setting_spec import load_setting

    setting = load_setting(params.run.suite, name)
    return build_partition(
        name,
        setting,
        {d: _manifest(params, d) for d in datasets_of(setting, params.data.datasets)},
        classes_per_client=params.partition.classes_per_client,
        shots=params.partition.shots,
        seed=params.partition.seed,
        scheme=params.partition.scheme,
        candidates=params.partition.candidates,
        validation=params.partition.validation,
        annotations=params.partition.annotations,
    )


def _require_plottable(name: str | None, path: Path) -> None:
    from fedmvp.errors import ConfigError

    if name is None:
        raise ConfigError(
            "one setting is drawn at a time",
            where="--plot",
            value=str(path),
            hint="name it: fedmvp settings NAME --plot FILE",
        )
    if path.suffix != ".svg" or path.is_dir():
        raise ConfigError(
            "a partition is drawn as SVG",
            where="--plot",
            value=str(path),
            hint="name a file that ends in .svg",
        )


def _draw(partition: Partition, params: Params, path: Path) -> None:
    from fedmvp.files import write_text
    from fedmvp.report.partition_chart import partition_svg

    trained = dict.fromkeys(client.dataset for client in partition.clients)
    svg = partition_svg(partition, {name: _manifest(params, name) for name in trained})
    write_text(path, svg)


def _manifest(params: Params, dataset: str) -> Manifest:
    """Return the stage's manifest; for embedded data, make it if it does not exist."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.data.build import build_manifest
    from fedmvp.data.manifest_files import load_manifest
    from fedmvp.errors import DataError
    from fedmvp.paths import manifest_path

    path = manifest_path(dataset)
    if path.is_file():
        return load_manifest(path)
    spec = load_spec(dataset)
    if spec.sources and spec.sources[0].kind == "embedded":
        return build_manifest(spec, params.data.split_seed)
    raise DataError("manifest is missing", where=path, hint=f"run `dvc repro download@{dataset}`")


def _summary(params: Params, name: str) -> dict[str, Any]:
    """Describe a setting; if its datasets are not here yet, name the problem instead of counts."""
    from fedmvp.errors import FedMVPError
    from fedmvp.partition.setting_spec import load_setting

    setting = load_setting(params.run.suite, name)
    partition, problem = None, None
    try:
        partition = _partition(params, name)
    except FedMVPError as error:
        problem = str(error)
    return {
        "setting": name,
        "title": setting.title,
        "protocol": setting.protocol,
        "in_run": name in params.run.settings,
        "folds": None if partition is None else len(partition.folds),
        "clients": None if partition is None else len(partition.clients),
        "targets": None if partition is None else len(partition.targets),
        "problem": problem,
    }


def _record(partition: Partition) -> dict[str, Any]:
    return {
        "setting": partition.setting,
        "protocol": partition.protocol,
        "official_folds": list(partition.official),
        "clients": [
            {
                "id": c.id,
                "fold": c.fold,
                "dataset": c.dataset,
                "domain": c.domain,
                "classes": list(c.classes),
                "images": len(c.train),
            }
            for c in partition.clients
        ],
        "targets": [
            {
                "name": t.name,
                "fold": t.fold,
                "group": t.group,
                "dataset": t.dataset,
                "domain": t.domain,
                "classes": list(t.classes),
                "images": len(t.images),
            }
            for t in partition.targets
        ],
    }


def _print_setting(partition: Partition) -> None:
    from fedmvp.cli.output import print_table

    print_table(
        ("client", "fold", "dataset", "domain", "classes", "images"),
        [
            (c.id, c.fold, c.dataset, c.domain or "all", len(c.classes), len(c.train))
            for c in partition.clients
        ],
    )
    say("")
    print_table(
        ("target", "fold", "group", "dataset", "domain", "classes", "images"),
        [
            (t.name, t.fold, t.group, t.dataset, t.domain or "all", len(t.classes), len(t.images))
            for t in partition.targets
        ],
    )
