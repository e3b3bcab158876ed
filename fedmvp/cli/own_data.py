"""``fedmvp datasets add``: a user's own images, in every setting that makes sense for them."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say
from fedmvp.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedmvp.catalog.spec import DatasetSpec
    from fedmvp.cli.image_tree import ImageTree

__all__ = ["add", "catalog_entry", "own_settings"]


def add(
    name: Annotated[str, typer.Argument(help="A name for the dataset: letters, digits, _.")],
    images: Annotated[
        Path,
        typer.Option(help="DIR/<class>/, DIR/<domain>/<class>/ or DIR/{train,test}/<class>/."),
    ],
    title: Annotated[str | None, typer.Option(help="What people call it; else its name.")] = None,
    template: Annotated[
        str, typer.Option(help="Prompt with {} for the class, e.g. `a photo of a {}, a bird.`.")
    ] = "a photo of a {}.",
    attributes: Annotated[
        Path | None, typer.Option(help="JSON of class -> list of visual attributes.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name to record these attributes under.")] = "own",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Make a catalog entry and settings for your own images; they stay where they are.

    The entry goes to fedmvp/catalog/datasets (or FEDMVP_CATALOG), the settings to a suite of the
    dataset's name in fedmvp/partition/settings (or FEDMVP_SETTINGS), and where the images are to
    .fedmvp/paths.yaml. Commit the first two; the last is this machine's.
    """
    import yaml

    from fedmvp.cli.image_tree import survey
    from fedmvp.cli.output import print_json
    from fedmvp.cli.photographs import PAPER, unlike_backbone
    from fedmvp.files import write_text

    tree = survey(images)
    entry = catalog_entry(name, tree, title or name.replace("_", " "), template)
    spec = _checked(name, entry)
    suite = own_settings(name, tree)
    catalog, folder, answers = _places(name)
    files = {catalog: entry, **{folder / f"{key}.yaml": value for key, value in suite.items()}}
    for path, value in files.items():
        write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))
    _remember(name, images)
    # DVC tracks the file of recorded answers, also while there are none.
    answers.parent.mkdir(parents=True, exist_ok=True)
    answers.touch()
    if attributes is not None:
        _import(spec, attributes, model)
    command = _command(name, suite, model if attributes is not None else "NAME")
    warning = unlike_backbone(images)
    if warning is not None:
        command = f"{PAPER} && {command}"
    if as_json:
        print_json(
            {"dataset": name, "classes": len(tree.classes), "domains": len(spec.domains),
             "images": sum(tree.images.values()), "settings": list(suite),
             "files": [str(path) for path in (*files, answers)], "command": command,
             "warning": warning}
        )  # fmt: skip
        return
    say(f"{name}: {plural(len(tree.classes), 'class')}, "
               f"{plural(len(spec.domain_names), 'domain')}, "
               f"{plural(sum(tree.images.values()), 'image')}, used in place")  # fmt: skip
    for class_name in (c for c, count in tree.images.items() if count < 2):
        say(f"note     class {class_name!r} has one image: it is trained on or tested")
    for path in files:
        say(f"written  {path}")
    if attributes is None:
        say(f"next     `fedmvp attributes generate {name} --provider openai --model NAME`, "
                   f"or `fedmvp attributes import {name} FILE --model NAME`")  # fmt: skip
    if warning is not None:
        say(f"warning  {warning}: `{PAPER}`")
    say(f"run      {command}")


def catalog_entry(name: str, tree: ImageTree, title: str, template: str) -> dict[str, Any]:
    """Return the catalog entry of a tree, as its YAML has it.

    Half of each class's images are trained on, unless the tree has parts of its own.
    """
    layout: dict[str, Any] = {"reader": _READERS[tree.kind]}
    split: dict[str, Any] = {"rule": "fractions", "train": 0.5, "within": "class"}
    if tree.kind == "parts":
        layout["parts"] = {part: folder for folder, part in tree.tops.items()}
        split = {"rule": "official"}
    if tree.kind == "domains":
        split["within"] = "class_and_domain"
    prefix, _, rest = template.partition("{}")
    return {
        "name": name,
        "title": title,
        "licence": "your own",
        "layout": layout,
        "template": template,
        "sentence": {"prefix": prefix.strip(), "suffix": rest.strip(" ,.")},
        "split": split,
        "domains": list(tree.tops) if tree.kind == "domains" else [],
        "classes": list(tree.classes),
    }


_READERS = {
    "classes": "class_folders",
    "domains": "domain_class_folders",
    "parts": "part_class_folders",
}


def own_settings(name: str, tree: ImageTree) -> dict[str, dict[str, Any]]:
    """Return the settings that make sense for a tree.

    Base-to-new needs two base and two new classes; a domain setting two domains to learn from,
    or one to learn from and one to test on.
    """
    domains = len(tree.tops) if tree.kind == "domains" else 1
    settings: dict[str, dict[str, Any]] = {}
    if len(tree.classes) >= 4:
        settings["base_to_new"] = {
            "title": "Base-to-new generalization",
            "protocol": "base_to_new",
            "folds": [
                {
                    "train": {"datasets": [name], "classes": "base"},
                    "targets": [
                        {"group": "local", "each": "client"},
                        {"group": "base", "classes": "base"},
                        {"group": "new", "classes": "new"},
                    ],
                }
            ],
        }
    settings["all_classes"] = _transfer("All classes, unseen images", name, [{"group": "target"}])
    settings["cross_dataset"] = _transfer(
        "Cross-dataset transfer: to the other datasets of data.datasets",
        name,
        [{"group": "target", "datasets": "others"}, {"group": "source"}],
    )
    shape = {"protocol": "transfer", "clients": "per_domain"}
    if domains >= 3:
        settings["msst"] = {
            "title": "Multi-source single-target: leave one domain out",
            **shape,
            "leave_one_domain_out": {"datasets": [name]},
        }
    if domains >= 2:
        settings["ssmt"] = {
            "title": "Single-source multi-target: train on one domain",
            **shape,
            "single_source": {"datasets": [name]},
        }
    return settings


def _transfer(title: str, name: str, targets: list[dict[str, Any]]) -> dict[str, Any]:
    fold = {"train": {"datasets": [name]}, "targets": targets}
    return {"title": title, "protocol": "transfer", "folds": [fold]}


def _checked(name: str, entry: dict[str, Any]) -> DatasetSpec:
    """Validate an entry before anything is written; a name that is taken is refused."""
    from fedmvp.catalog.spec import DatasetSpec, dataset_names
    from fedmvp.config import parse_section
    from fedmvp.errors import ConfigError

    # Stricter than a catalog name: the suite of settings is called the same.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name):
        raise ConfigError("not a dataset name", where="datasets add", value=name,
                          hint="use lower-case letters, digits and _, a letter first")  # fmt: skip
    if name in dataset_names():
        raise ConfigError("dataset exists already", where="data catalog", value=name,
                          hint="choose another name, or remove its catalog entry")  # fmt: skip
    return parse_section(DatasetSpec, entry, f"catalog entry {name}")


def _places(name: str) -> tuple[Path, Path, Path]:
    """Return catalog entry, folder of settings, and file of recorded attributes."""
    import fedmvp
    from fedmvp.attributes.store import RECORDED

    package = Path(fedmvp.__file__).parent
    catalog = Path(os.environ.get("FEDMVP_CATALOG") or package / "catalog/datasets")
    settings = Path(os.environ.get("FEDMVP_SETTINGS") or package / "partition/settings")
    return _short(catalog) / f"{name}.yaml", _short(settings) / name, RECORDED / f"{name}.jsonl"


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _remember(name: str, images: Path) -> None:
    """Note where the images are: on this machine only, so nothing depends on it."""
    import yaml

    from fedmvp.data.locations import PATHS_FILE
    from fedmvp.output_files import write_output
    from fedmvp.yaml_files import load_yaml

    paths = (load_yaml(PATHS_FILE) or {}) if PATHS_FILE.is_file() else {}
    datasets = {**paths.get("datasets", {}), name: str(images.resolve())}
    text = yaml.safe_dump({**paths, "datasets": datasets}, sort_keys=False)
    write_output(PATHS_FILE, text.encode())


def _import(spec: DatasetSpec, path: Path, model: str) -> None:
    from fedmvp.attributes.generate import DatasetClasses
    from fedmvp.attributes.importing import import_answers
    from fedmvp.config import load_params

    chosen = {"provider": "file", "path": str(path), "model": model, "per_class": 100}
    params = load_params().attributes.model_copy(update=chosen)
    import_answers(DatasetClasses(spec.name, spec.title, spec.class_names), params)


def _command(name: str, settings: Iterable[str], model: str) -> str:
    """Return one command that runs all settings but the one that needs a second dataset."""
    chosen = ",".join(setting for setting in settings if setting != "cross_dataset")
    return (
        f"dvc exp run -S run.suite={name} -S 'run.settings=[{chosen}]' "
        f"-S 'data.datasets=[{name}]' -S {shlex.quote(f'attributes.model={model}')}"
    )
