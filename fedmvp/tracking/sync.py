"""Updates the tracking store to match the result files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fedmvp.catalog.spec import load_spec
from fedmvp.config import load_params
from fedmvp.dvc_lock import require_as_recorded
from fedmvp.files import read_json
from fedmvp.results.key import result_folders
from fedmvp.tracking.attention import ImageLoader, attention_maps, local_images
from fedmvp.tracking.lost import any_lost, close_lost
from fedmvp.tracking.moved import moved
from fedmvp.tracking.origin import origin
from fedmvp.tracking.projection import Projection, project
from fedmvp.tracking.prompts import (
    described_datasets,
    prompt_artifacts,
    register_prompts,
    registry_texts,
)
from fedmvp.tracking.store import (
    locked,
    open_client,
    open_experiment,
    recorded_runs,
    sqlite_file,
    tracking_uri,
)
from fedmvp.tracking.trouble import without_secret
from fedmvp.tracking.upsert import upsert

__all__ = ["SyncReport", "sync"]

_Inputs = tuple[tuple[str, str], ...]
"""Path and SHA-256 of what a run read, sorted."""


@dataclass(frozen=True)
class SyncReport:
    """What a sync did.

    Attributes
    ----------
    uri : str
        The store, without user name and password.
    created, updated, unchanged : tuple of str
        Names of runs.
    prompts : tuple of str
        Names of the prompts that got a new version.
    interrupted : tuple of str
        Names of live runs whose training disappeared: they end as KILLED.
    """

    uri: str
    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    interrupted: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = ("created", "updated", "unchanged", *(("interrupted",) if self.interrupted else ()))
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in told)
        return f"tracking: {counts} at {self.uri}"


def sync(
    root: Path, store: str | None = None, *, folders: Sequence[Path] | None = None
) -> SyncReport:
    """Upsert one run per complete result; a second call changes nothing.

    Parameters
    ----------
    root : Path
        The repository's folder, which holds params.yaml and results.
    store : str, optional
        The store; see `fedmvp.tracking.store.tracking_uri` for the default.
    folders : sequence of Path, optional
        Result folders to project; all complete ones under ``results`` by default.

    Raises
    ------
    ConfigError
        When the store cannot be opened, or stays locked.
    DataError
        When a result file is not as declared, or not what its stage wrote.
    """
    uri = tracking_uri(root, store)
    chosen = result_folders(root / "results") if folders is None else folders
    require_as_recorded(root, chosen)
    projections = [project(folder) for folder in chosen]
    with locked(root, store):
        if _in_line(uri, projections):
            names = tuple(projection.name for projection in projections)
            return SyncReport(without_secret(uri), unchanged=names)
        return _write(root, uri, projections)


def _in_line(uri: str, projections: Iterable[Projection]) -> bool:
    """Tell, without mlflow, whether there is nothing to do; known only for a sqlite store."""
    database = sqlite_file(uri)
    runs = recorded_runs(uri)
    if database is None or runs is None or moved(database) or any_lost(uri):
        return False
    found = [(p.content, runs.get(p.fingerprint)) for p in projections]
    return all(run and run.content == content and run.whole() for content, run in found)


def _write(root: Path, uri: str, projections: Iterable[Projection]) -> SyncReport:
    client = open_client(uri)
    experiment = open_experiment(client, uri, load_params(root / "params.yaml").profile)
    tags = origin(root)
    outcomes: dict[str, list[str]] = {"created": [], "updated": [], "unchanged": []}
    texts: dict[str, str] = {}
    prompts_of, images = _prompts(root), local_images(root)
    for projection in projections:
        per_class = int(projection.params.get("attributes.per_class", 0))
        artifacts, registered = prompts_of(tuple(sorted(projection.inputs.items())), per_class)
        texts |= registered
        extras = artifacts | _pictures(projection, images)
        outcome = upsert(client, experiment, projection, extras=extras, origin=tags)
        outcomes[outcome].append(projection.name)
    prompts, lost = register_prompts(client, texts), close_lost(client)
    done = {key: tuple(names) for key, names in outcomes.items()}
    return SyncReport(without_secret(uri), **done, prompts=tuple(prompts), interrupted=tuple(lost))


def _prompts(root: Path) -> Callable[[_Inputs, int], tuple[dict[str, bytes], dict[str, str]]]:
    """Return what gives a run's prompts, as artifacts and for the registry.

    Most runs of a sync read the same texts, and these are read from many files.
    """
    spec_of = cache(load_spec)

    @cache
    def prompts(inputs: _Inputs, per_class: int) -> tuple[dict[str, bytes], dict[str, str]]:
        described = described_datasets(root, dict(inputs))
        artifacts = prompt_artifacts(described, per_class, spec_of)
        return artifacts, registry_texts(described, per_class, spec_of)

    return prompts


def _pictures(projection: Projection, images: ImageLoader) -> dict[str, bytes]:
    path = projection.files.get("result/explain.json")
    return {} if path is None else attention_maps(read_json(path), images)
