"""``fedmvp attributes``: ask for class attributes, show them, check them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import print_json, say
from fedmvp.wording import plural

if TYPE_CHECKING:
    from rich.console import Console

    from fedmvp.attributes.asking import Observer
    from fedmvp.attributes.config import AttributeParams
    from fedmvp.attributes.generate import DatasetClasses
    from fedmvp.attributes.providers.base import Ask, Usage

__all__ = ["app"]

app = typer.Typer(
    name="attributes",
    help="Visual attributes of classes: ask a language model once, record, look, judge.",
    no_args_is_help=True,
    # Local variables would include the API key.
    pretty_exceptions_show_locals=False,
)

Dataset = Annotated[str, typer.Argument(help="Name in the catalog (`fedmvp datasets list`).")]
Provider = Annotated[
    str | None, typer.Option(help="recorded, openai, transformers or file; else params.yaml's.")
]
Model = Annotated[str | None, typer.Option(help="Model name or path; else params.yaml's.")]
Template = Annotated[str | None, typer.Option(help="Question template; else params.yaml's.")]
PerClass = Annotated[int | None, typer.Option(help="Attributes per class; else params.yaml's.")]
File = Annotated[Path | None, typer.Option(help="JSON file of provider `file`.", dir_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command()
def generate(
    dataset: Dataset,
    provider: Provider = None,
    model: Model = None,
    template: Template = None,
    per_class: PerClass = None,
    path: File = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Questions asked at once.")] = 4,
    dry_run: Annotated[bool, typer.Option(help="Only count calls and tokens.")] = False,
    price_in: Annotated[float, typer.Option(min=0, help="USD per million tokens sent.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="USD per million received.")] = 0.0,
) -> None:
    """Ask for the attributes of every class not answered yet; answers are recorded one by one.

    Options left out come from params.yaml. Set the same values there to let the pipeline use the
    answers. The server and its key come from OPENAI_BASE_URL and OPENAI_API_KEY.
    """
    from rich.console import Console

    from fedmvp.attributes.generate import asks_of, collect_attributes, estimated_usage, unanswered
    from fedmvp.attributes.store import AnswerStore

    params = _params(provider, model, template, per_class, path)
    classes = _classes(dataset)
    store = AnswerStore.of(dataset)
    missing = unanswered(asks_of(classes, params), store, params)
    console = Console(stderr=True)
    prices = (price_in, price_out)
    if dry_run:
        estimate = estimated_usage(missing)
        say(
            f"{dataset}: {len(missing)} of {plural(len(classes.classes), 'class')} to ask, "
            f"{plural(estimate.calls, 'call')}, about {_tokens(estimate, prices)}"
        )
        return
    with _progress(console, missing, prices) as observer:
        attributes = collect_attributes(classes, params, workers=workers, observer=observer)
    if missing:
        store.sort()
    _say_what_is_cut(dataset, attributes.classes, params)
    total = sum(map(len, attributes.classes.values()))
    say(f"{dataset}: {plural(total, 'attribute')} of {plural(len(attributes.classes), 'class')}")


@app.command(name="import")
def import_list(
    dataset: Dataset,
    path: Annotated[Path, typer.Argument(help="JSON of class -> list of texts.")],
    model: Annotated[str, typer.Option(help="Name to record the texts under.")],
    template: Template = None,
    naming: Annotated[
        str, typer.Option(help="Texts naming their class: reject, drop or keep.")
    ] = "reject",
) -> None:
    """Record a published list (FedMVP, classify-by-description) in the store of answers.

    Answers already recorded stay. Use the list with provider `recorded` and this model name.
    """
    from fedmvp.attributes.importing import import_answers, read_answers

    params = _params("file", model, template, 100, path, naming=naming)
    classes = _classes(dataset)
    answers = read_answers(classes, params)
    texts = {answer.question.class_name: answer.attributes for answer in answers}
    _say_what_is_cut(dataset, texts, params)
    done = import_answers(classes, params)
    say(f"{dataset}: {plural(done.added, 'class')} recorded, {done.standing} recorded before")
    if done.differing:
        say(
            f"note: {done.differing} of these differ from the file; the recorded ones "
            "stay: record the file under another --model"
        )


@app.command()
def show(
    dataset: Dataset,
    class_name: Annotated[
        str | None, typer.Argument(metavar="[CLASS]", help="One class; else all.")
    ] = None,
    provider: Provider = None,
    model: Model = None,
    template: Template = None,
    path: File = None,
    as_json: AsJson = False,
) -> None:
    """Print recorded attributes, of all classes or one, and the sentences CLIP reads."""
    from fedmvp.attributes.sentences import sentence
    from fedmvp.catalog.spec import load_spec

    attributes = _offline(dataset, provider, model, template, path)
    names = [class_name] if class_name is not None else list(attributes)
    parts = load_spec(dataset).sentence_parts()
    chosen = {name: attributes[name] for name in names if name in attributes}
    if len(chosen) < len(names):
        raise _no_class(dataset, names[0], list(attributes))
    if as_json:
        print_json(chosen)
        return
    for name, texts in chosen.items():
        say(name)
        for text in texts:
            spoken = sentence(name, text, prefix=parts.prefix, suffix=parts.suffix)
            say(f"  {spoken if class_name is not None else text}")


@app.command()
def stats(
    dataset: Annotated[
        str | None, typer.Argument(help="Name in the catalog; all of params.yaml's if left out.")
    ] = None,
    provider: Provider = None,
    model: Model = None,
    template: Template = None,
    path: File = None,
    as_json: AsJson = False,
) -> None:
    """Print counts, lengths, CLIP's tokens, what several classes share and what is cut off."""
    from dataclasses import asdict

    from fedmvp.attributes.stats import attribute_stats
    from fedmvp.attributes.text_lengths import cut_texts
    from fedmvp.catalog.spec import load_spec
    from fedmvp.cli.attribute_stats import print_findings, print_stats
    from fedmvp.config import load_params

    names = load_params().data.datasets if dataset is None else (dataset,)
    classes = {name: _offline(name, provider, model, template, path) for name in names}
    figures = {name: attribute_stats(own) for name, own in classes.items()}
    if as_json:
        rows = {name: asdict(own) for name, own in figures.items()}
        print_json(rows if dataset is None else rows[dataset])
        return
    print_stats(figures)
    if dataset is None:
        return
    print_findings(figures[dataset])
    for cut in cut_texts(classes[dataset], load_spec(dataset).sentence.ways()):
        say(f"cut off: {cut.class_name}: {cut.text} ({cut.tokens} tokens)")


def _params(
    provider: str | None,
    model: str | None,
    template: str | None,
    per_class: int | None,
    path: Path | None,
    **more: Any,
) -> AttributeParams:
    """Return the attributes section of params.yaml, overridden by the options."""
    from fedmvp.attributes.config import AttributeParams
    from fedmvp.config import load_params, parse_section

    options: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "template": template,
        "per_class": per_class,
        "path": None if path is None else str(path),
        **more,
    }
    given = {name: value for name, value in options.items() if value is not None}
    section = {**load_params().attributes.model_dump(), **given}
    return parse_section(AttributeParams, section, "options over params.yaml: attributes")


def _classes(dataset: str) -> DatasetClasses:
    from fedmvp.attributes.generate import DatasetClasses
    from fedmvp.catalog.spec import load_spec

    spec = load_spec(dataset)
    return DatasetClasses(spec.name, spec.title, spec.class_names)


def _say_what_is_cut(
    dataset: str, attributes: Mapping[str, Sequence[str]], params: AttributeParams
) -> None:
    """Warn about texts that CLIP does not read to their end, or refuse them."""
    from fedmvp.attributes.text_lengths import cut_texts, report_cut_texts
    from fedmvp.catalog.spec import load_spec

    cut = cut_texts(attributes, load_spec(dataset).sentence.ways())
    for line in report_cut_texts(dataset, cut, refuse=params.long_texts == "refuse"):
        say(line, err=True)


def _offline(
    dataset: str,
    provider: str | None,
    model: str | None,
    template: str | None,
    path: Path | None,
) -> dict[str, tuple[str, ...]]:
    """Return attributes without calling a model: recorded ones, or those of a file."""
    from fedmvp.attributes.generate import collect_attributes

    params = _params(provider, model, template, None, path)
    if params.provider != "file":
        params = params.model_copy(update={"provider": "recorded"})
    return dict(collect_attributes(_classes(dataset), params).classes)


def _no_class(dataset: str, name: str, known: list[str]) -> Exception:
    from fedmvp.errors import AttributeTextError, nearest

    return AttributeTextError(
        "no such class", where=f"dataset {dataset}", value=name, hint=nearest(name, known)
    )


def _tokens(usage: Usage, prices: tuple[float, float]) -> str:
    """Return tokens and, where prices are given, cost in words."""
    text = f"{usage.prompt_tokens:,} tokens sent, {usage.completion_tokens:,} received"
    if not any(prices):
        return text
    cost = usage.prompt_tokens * prices[0] + usage.completion_tokens * prices[1]
    return f"{text}, {cost / 1e6:.2f} USD"


@contextmanager
def _progress(
    console: Console, missing: tuple[Ask, ...], prices: tuple[float, float]
) -> Iterator[Observer]:
    """Show classes done, tokens and cost while a live model is asked."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from fedmvp.attributes.providers.base import Usage

    total = Usage()
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[spent]}"),
    )
    with Progress(*columns, console=console, disable=not missing) as bar:
        task = bar.add_task("asking", total=len(missing), spent="")

        def note(class_name: str, usage: Usage) -> None:
            nonlocal total
            total += usage
            # Answers from the store cost no call and are not part of the bar.
            bar.update(task, advance=min(1, usage.calls), spent=_tokens(total, prices))

        yield note
