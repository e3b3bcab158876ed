"""Write the reference pages that follow from code: commands, params.yaml, site.yaml.

``python docs/generate.py`` writes ``cli.md``, ``params.md`` and ``site.md`` in ``reference/``;
tests/unit/docs fails where a committed page differs from what is written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from fedmvp.attributes.config import AttributeParams
from fedmvp.cli import app
from fedmvp.config import (
    AnnotationParams,
    BackboneParams,
    DataParams,
    DifferentialPrivacyParams,
    EvaluationParams,
    FederationParams,
    MultiLabelParams,
    PartitionParams,
    ReportParams,
    RunParams,
)
from fedmvp.federation.plan import Plan, PlanBackbone
from fedmvp.federation.site_config import Minimum, Share, SiteConfig, SiteImages
from fedmvp.methods import METHODS
from fedmvp.methods.build import load_method
from fedmvp.partition.schemes import SCHEMES

__all__ = ["PAGES", "main"]

_REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Written by `python docs/generate.py`; do not edit. -->\n"
_SECTIONS: dict[str, type[BaseModel]] = {
    "run": RunParams,
    "backbone": BackboneParams,
    "data": DataParams,
    "attributes": AttributeParams,
    "partition": PartitionParams,
    "partition.annotations": AnnotationParams,
    "federation": FederationParams,
    "federation.privacy": DifferentialPrivacyParams,
    "evaluation": EvaluationParams,
    "multilabel": MultiLabelParams,
    "report": ReportParams,
}
_SITES: dict[str, type[BaseModel]] = {
    "plan.json": Plan,
    "plan.json: backbone": PlanBackbone,
    "site.yaml": SiteConfig,
    "site.yaml: images": SiteImages,
    "site.yaml: minimum": Minimum,
    "site.yaml: share": Share,
}
# Of entries without a description in their models.
_MEANINGS = {
    "run.settings": "Settings of the suite: `fedmvp settings` lists them.",
    "run.seeds": "Each trained method is trained once per seed.",
    "data.datasets": "Datasets of the catalog: `fedmvp datasets list`.",
    "data.split_seed": "Seed of splits that are drawn: datasets without an official one.",
    "federation.rounds": "Rounds of the federation.",
    "federation.local_epochs": "Passes of a client over its images in a round.",
    "federation.batch_size": "Images of a client's training step.",
    "federation.learning_rate": "Learning rate of the clients; each method may have its own.",
    "federation.weight_decay": "Weight decay of the clients' optimizer.",
    "federation.client_optimizer": "Optimizer of the clients.",
    "federation.adam_epsilon": "epsilon of Adam and AdamW.",
    "federation.schedule": "How the learning rate changes from round to round.",
    "federation.weighting": "Whether clients count equally, or by their number of images.",
    "federation.aggregation": "The server's rule (docs/method.md#aggregation).",
    "federation.aggregation_dtype": "Number format the server sums in.",
    "federation.privacy": "Its entries are below; null: off.",
    "federation.on_client_failure": "End the run, or leave the client out of the round.",
    "federation.privacy.delta": "delta of the privacy guarantee.",
    "evaluation.batch_size": "Images classified at once; results do not depend on it.",
    "report.title": "Heading of the page; null: it says what the data are.",
    "zero_shot_ensemble.templates": "Hand templates in addition to the dataset's own.",
    "fedmvp.variant": "Sets the entries whose default is null ([ablations](../ablations.md)).",
    "fedmvp.conditioning": "What the PromptFormer attends to ([ablations](../ablations.md)).",
}
_SWITCH = "See [ablations](../ablations.md#where-the-paper-and-its-code-differ); null: `variant`'s."
_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (_REFERENCE / name).write_text(page(), encoding="utf-8")


def _cli() -> str:
    top = get_command(app)
    lines = [
        f"# Command line\n\n{_NOTE}",
        "`fedmvp COMMAND --help` prints the same. Run commands in the repository's folder; those "
        "with `--json` print JSON for scripts on stdout. [Exit codes](exit_codes.md) says how they "
        "end.\n",
        *_command("fedmvp", top, 2),
    ]
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    """Yield the lines of a command and of those below it."""
    commands: dict[str, Any] = getattr(command, "commands", {})
    yield f"{'#' * level} {name}\n"
    yield f"{_flat(command.help or '')}\n"
    if not commands:
        words = (_word(p) for p in command.params if p.param_type_name == "argument")
        yield f"`{' '.join([name, '[OPTIONS]', *words])}`\n"
    rows = [_parameter(p) for p in command.params if p.name != "help"]
    if rows:
        yield _table(("argument or option", "value", "default", "meaning"), rows)
    for below, own in commands.items():
        yield from _command(f"{name} {below}", own, min(level + 1, 4))


def _word(parameter: Any) -> str:
    word = (parameter.metavar or parameter.name.upper()).strip("[]")
    word += "…" if parameter.nargs == -1 else ""
    return word if parameter.required else f"[{word}]"


def _parameter(parameter: Any) -> tuple[str, ...]:
    """Return the row of an argument or option."""
    text = _flat(parameter.help or "")
    if parameter.param_type_name == "argument":
        need = "required" if parameter.required else ""
        return f"`{_word(parameter)}`", _kind(parameter), need, text
    names = ", ".join(f"`{word}`" for word in (*parameter.opts, *parameter.secondary_opts))
    if parameter.envvar:
        text += f" Environment: `{parameter.envvar}`."
    if parameter.is_flag:
        return names, "", "", text
    need = "required" if parameter.required else ""
    default = parameter.default
    given = need or ("" if default is None else f"`{default}`")
    return names, _kind(parameter), given, text


def _kind(parameter: Any) -> str:
    """Return what a value is; its range where it has one."""
    annotation = parameter.type_descriptor.annotation
    kind = next(iter(get_args(annotation)), annotation)
    name = {int: "whole number", float: "number", Path: "path"}.get(kind, "text")
    bounds = [f"from {parameter.min:g}"] if parameter.min is not None else []
    bounds += [f"to {parameter.max:g}"] if parameter.max is not None else []
    return " ".join([name, *bounds])


def _params() -> str:
    lines = [
        f"# params.yaml\n\n{_NOTE}",
        "Every section and entry, from the models that validate the file: `fedmvp/config.py`, "
        "`fedmvp/attributes/config.py` and `Params` of each method. An entry without a default "
        "is required. [params.yaml](../../params.yaml) is the default profile; `fedmvp profile "
        "list` lists the others. Unknown entries are refused.\n",
        "`profile` is the name shown in the report and in MLflow.\n",
    ]
    for name, model in _SECTIONS.items():
        lines += [f"## {name}\n", f"{_summary(model)}\n", _fields(name, model)]
        if name == "partition":
            lines += _schemes()
    lines += [
        "## methods\n",
        "A section for each method that `run.trained` or `run.zero_shot` may list. The entry "
        "`federation` of a trained method overrides entries of the section `federation`. "
        "Formulas: [method](../method.md); FedMVP's switches: [ablations](../ablations.md).\n",
    ]
    for name in METHODS:
        kind = load_method(name)
        lines += [f"### {name}\n", f"{_summary(kind)}\n"]
        table = _fields(name, kind.Params)
        lines.append(table if table else "No entries.\n")
    return "\n".join(lines) + "\n"


def _site() -> str:
    lines = [
        f"# A federation of sites: plan.json and site.yaml\n\n{_NOTE}",
        "What everybody has a copy of (`fedmvp/federation/plan.py`), and what stays at a site "
        "(`fedmvp/federation/site_config.py`). Unknown entries are refused.\n",
    ]
    for name, model in _SITES.items():
        lines += [f"## {name}\n", f"{_summary(model)}\n", _fields(name, model)]
    return "\n".join(lines) + "\n"


def _schemes() -> Iterator[str]:
    """Yield the lines of the partition schemes."""
    yield "## partition.scheme\n"
    yield "What each rule does: [partition schemes](../partition_schemes.md).\n"
    for name, scheme in SCHEMES.items():
        yield f"### scheme {name}\n"
        yield f"{_summary(scheme)}\n"
        yield _fields(f"partition.scheme.{name}", scheme)


def _summary(kind: type[Any]) -> str:
    """Return the first paragraph of a class's docstring."""
    return _flat((kind.__doc__ or "").split("\n\n")[0])


def _fields(section: str, model: type[BaseModel]) -> str:
    rows = []
    for name, field in model.model_fields.items():
        meaning = field.description or _MEANINGS.get(f"{section}.{name}", "")
        if not meaning and section == "fedmvp":
            meaning = _SWITCH
        rows.append(
            (f"`{name}`", _type(field.annotation), _range(field), _default(field), _flat(meaning))
        )
    return _table(("entry", "value", "range", "default", "meaning"), rows) if rows else ""


def _type(annotation: Any) -> str:
    """Return an annotation in words people read."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{_yaml(part)}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join("null" if part is NoneType else _type(part) for part in parts)
    if origin in (tuple, list):
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return "mapping"
    if parts and hasattr(annotation, "__metadata__"):
        return _type(parts[0])
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
    return words.get(annotation, "section")


def _range(field: FieldInfo) -> str:
    found = []
    for entry in _metadata(field.metadata, field.annotation):
        for bound, words in _BOUNDS.items():
            if (value := getattr(entry, bound, None)) is not None:
                found.append(words.format(f"{value:g}"))
    return " ".join(dict.fromkeys(found))


def _metadata(own: Iterable[Any], annotation: Any) -> Iterator[Any]:
    """Yield what is said of a field's values, also below an optional or a constrained type."""
    for entry in own:
        yield from entry.metadata if isinstance(entry, FieldInfo) else (entry,)
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _metadata(getattr(part, "__metadata__", ()), None)


def _default(field: FieldInfo) -> str:
    required = field.is_required()
    return "" if required else f"`{_yaml(field.get_default(call_default_factory=True))}`"


def _yaml(value: Any) -> str:
    """Return a value as params.yaml has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, BaseModel):
        return "{}"
    return str(value)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    cells = ((text.replace("|", "\\|") for text in line) for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def _flat(text: str) -> str:
    """Return a docstring in one line, fit for Markdown."""
    flat = re.sub(r"\s+", " ", text.replace("``", "`")).strip()
    flat = re.sub(r"(?<!/)docs/([\w/]+)\.md(#[\w-]+)?", r"[\1](../\1.md\2)", flat)
    # Placeholders such as <class> are no HTML.
    parts = re.split(r"(`[^`]*`)", flat)
    return "".join(p if p.startswith("`") else p.replace("<", "&lt;") for p in parts)


PAGES: dict[str, Callable[[], str]] = {"cli.md": _cli, "params.md": _params, "site.md": _site}
"""File in docs/reference → what it holds."""


if __name__ == "__main__":
    main()
