"""``fedmvp datasets add`` and ``remove``: a user's own images as a dataset."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say
from fedmvp.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fedmvp.attributes.record import RecordedAnswer
    from fedmvp.catalog.spec import DatasetSpec
    from fedmvp.cli.own_files import OwnFiles

__all__ = ["add", "remove"]

_CATALOG_NOTE = (
    "`dvc repro` reads the repository's own catalog: without FEDMVP_CATALOG and "
    "FEDMVP_SETTINGS, `datasets add` writes there"
)


def add(
    name: Annotated[str, typer.Argument(help="A name for the dataset: letters, digits, _.")],
    images: Annotated[
        Path,
        typer.Option(help="DIR/<class>/, DIR/<domain>/<class>/ or DIR/{train,test}/<class>/."),
    ],
    title: Annotated[str | None, typer.Option(help="Title for people; else its name.")] = None,
    template: Annotated[
        str, typer.Option(help="Prompt with {} for the class, e.g. `a photo of a {}, a bird.`.")
    ] = "a photo of a {}.",
    attributes: Annotated[
        Path | None, typer.Option(help="JSON of class -> list of visual attributes.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name to record these attributes under.")] = "own",
    naming: Annotated[
        str, typer.Option(help="Attributes naming their class: reject, drop or keep.")
    ] = "reject",
    force: Annotated[
        bool, typer.Option("--force", help="Replace a dataset of your own of this name.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Make a catalog entry and settings for your own images; they stay where they are.

    The entry goes to fedmvp/catalog/datasets (or FEDMVP_CATALOG), the settings to a suite of the
    dataset's name in fedmvp/partition/settings (or FEDMVP_SETTINGS), attributes to
    fedmvp/attributes/recorded (or FEDMVP_CATALOG/recorded), and where the images are to
    .fedmvp/paths.yaml. Commit all but the last, which is this machine's. Everything is checked
    before the first file is written.
    """
    import os

    from fedmvp.cli.image_notes import notes_on
    from fedmvp.cli.image_tree import survey
    from fedmvp.cli.output import print_json
    from fedmvp.cli.own_entries import catalog_entry, clients_note, own_settings
    from fedmvp.cli.own_files import OwnFiles, put_aside, write_all
    from fedmvp.cli.photographs import PAPER, unlike_backbone
    from fedmvp.config import load_params

    params = load_params()
    tree = survey(images)
    entry = catalog_entry(name, tree, title or name.replace("_", " "), template)
    places = OwnFiles.of(name)
    spec = _checked(name, entry, places, force)
    suite = own_settings(name, tree)
    answers = None if attributes is None else _read(spec, attributes, model, naming)
    files = _files(name, places, entry, suite, images, answers, model)
    old = places.existing()
    aside = None
    if not dry_run:
        if changed := [path for path in old if files.get(path) != path.read_bytes()]:
            aside = put_aside(name, changed)
        write_all(files)
        for path in (path for path in old if path not in files):
            path.unlink()  # a setting that no longer applies; a copy was kept
    notes = notes_on(tree, images, params.partition.shots)
    notes += clients_note(len(tree.classes), suite)
    if os.environ.get("FEDMVP_CATALOG"):
        notes.append(_CATALOG_NOTE)
    command = _command(name, suite, model if attributes is not None else "NAME")
    warning = unlike_backbone(images)
    if warning is not None:
        command = f"{PAPER} && {command}"
    if as_json:
        print_json(
            {
                "dataset": name,
                "classes": len(tree.classes),
                "domains": len(spec.domains),
                "images": tree.images,
                "settings": list(suite),
                "left_out": tree.left_out,
                "notes": notes,
                "written": not dry_run,
                "files": [str(path) for path in files],
                "put_aside": None if aside is None else str(aside),
                "command": command,
                "warning": warning,
            }
        )
        return
    say(
        f"{name}: {plural(len(tree.classes), 'class')}, "
        f"{plural(len(spec.domain_names), 'domain')}, "
        f"{plural(tree.images, 'image')}, used in place"
    )
    for line in tree.left_out:
        say(f"left out {line}")
    for line in notes:
        say(f"note     {line}")
    if aside is not None:
        say(f"before   {aside} keeps what was there")
    for path in files:
        say(f"{'to write' if dry_run else 'written '} {path}")
    if attributes is None and not dry_run:
        say(
            f"next     `fedmvp attributes generate {name} --provider openai --model NAME`, "
            f"or `fedmvp attributes import {name} FILE --model NAME`"
        )
    if warning is not None:
        say(f"warning  {warning}: `{PAPER}`")
    if not dry_run:
        say(f"run      {command}")


def remove(
    name: Annotated[str, typer.Argument(help="A dataset that `datasets add` made.")],
) -> None:
    """Take a dataset of your own out of the catalog; its images stay where they are.

    Its entry, settings and recorded attributes are moved to a folder below .fedmvp/removed.
    """
    from fedmvp.catalog.spec import load_spec
    from fedmvp.cli.own_files import OwnFiles, paths_without, put_aside, write_all
    from fedmvp.data.locations import PATHS_FILE

    places = OwnFiles.of(name)
    if not places.entry.is_file():
        load_spec(name)  # says which datasets there are
    places.require_own(name)
    files = places.existing()
    aside = put_aside(name, files)
    write_all({PATHS_FILE: paths_without(name)})
    for path in files:
        path.unlink()
        say(f"removed  {path}")
    if places.settings.is_dir() and not any(places.settings.iterdir()):
        places.settings.rmdir()
    say(f"kept     {aside}; the images are untouched")


def _checked(name: str, entry: dict[str, Any], places: OwnFiles, force: bool) -> DatasetSpec:
    """Validate an entry; refuse a name in use, unless it is the user's own and `force` is set."""
    from fedmvp.catalog.spec import DatasetSpec, dataset_names
    from fedmvp.config import parse_section
    from fedmvp.errors import ConfigError

    # Stricter than for catalog names, as the suite of settings gets the same name.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name):
        raise ConfigError(
            "not a dataset name",
            where="datasets add",
            value=name,
            hint="use lower-case letters, digits and _, a letter first",
        )
    if name in dataset_names() and not force:
        raise ConfigError(
            "dataset already exists",
            where="data catalog",
            value=name,
            hint="choose another name; one of your own is replaced with --force, "
            "or taken out by `fedmvp datasets remove`",
        )
    places.require_own(name)
    return parse_section(DatasetSpec, entry, f"catalog entry {name}")


def _files(
    name: str,
    places: OwnFiles,
    entry: Mapping[str, Any],
    suite: Mapping[str, Any],
    images: Path,
    answers: list[RecordedAnswer] | None,
    model: str,
) -> dict[Path, bytes]:
    """Return the files to write; the entry is last, as without it there is no dataset."""
    import yaml

    from fedmvp.attributes.store import AnswerStore
    from fedmvp.cli.own_files import paths_with
    from fedmvp.data.locations import PATHS_FILE

    def text(value: Any) -> bytes:
        dumped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
        return dumped.encode()

    # DVC tracks the file of recorded answers even if it is empty.
    kept = list(AnswerStore(places.answers))
    if answers is not None:
        kept = [*(a for a in kept if a.question.model != model), *answers]
    kept.sort(key=lambda answer: (answer.question.class_name, answer.question.key))
    return {
        places.answers: b"".join(answer.to_line() for answer in kept),
        **{places.settings / f"{key}.yaml": text(value) for key, value in suite.items()},
        PATHS_FILE: paths_with(name, images),
        places.entry: text(entry),
    }


def _read(spec: DatasetSpec, path: Path, model: str, naming: str) -> list[RecordedAnswer]:
    from fedmvp.attributes.config import AttributeParams
    from fedmvp.attributes.generate import DatasetClasses
    from fedmvp.attributes.importing import read_answers
    from fedmvp.config import load_params, parse_section

    chosen = {
        "provider": "file",
        "path": str(path),
        "model": model,
        "per_class": 100,
        "naming": naming,
    }
    section = {**load_params().attributes.model_dump(), **chosen}
    params = parse_section(AttributeParams, section, "options over params.yaml: attributes")
    return read_answers(DatasetClasses(spec.name, spec.title, spec.class_names), params)


def _command(name: str, settings: Iterable[str], model: str) -> str:
    """Return one command that runs all settings but the one that needs a second dataset."""
    chosen = ",".join(setting for setting in settings if setting != "cross_dataset")
    return (
        f"dvc exp run -S run.suite={name} -S 'run.settings=[{chosen}]' "
        f"-S 'data.datasets=[{name}]' -S {shlex.quote(f'attributes.model={model}')}"
    )
