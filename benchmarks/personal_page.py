"""A page of the personal results of `dvc repro`: every number and what follows from it.

``python -m benchmarks.personal_page --took "one hour on two cores"``, after
``fedmvp profile use personal && dvc repro``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.personal_tuning import RECORD, SEED
from benchmarks.rates import Scores, read_rates, tuned_text
from benchmarks.results_page import markdown_table, study_of
from fedmvp.config import Params, load_params
from fedmvp.files import write_text
from fedmvp.methods import method_title
from fedmvp.report.estimates import FOCUS, Estimate
from fedmvp.report.format import percent, points
from fedmvp.report.personal import estimates, model_title, personal_results
from fedmvp.report.protocols import setting_note, setting_title
from fedmvp.report.study import Study
from fedmvp.results.personal import FINE_TUNED
from fedmvp.wording import plural
from pipeline.support.stage import run_stage

__all__ = ["Model", "models_of", "page"]

OUT = Path("docs") / "results_personal.md"
COMMAND = "fedmvp profile use personal\ndvc repro\npython -m benchmarks.personal_page --took …"
COLUMNS = {
    "global": "Global",
    "personal": "Personal",
    "neighbour": "Neighbour",
    "personal_base": "on all base",
    "personal_new": "on new",
    "personal/std": "std over clients",
    "personal/worst": "worst 10 %",
    "stability/personal": "Personal, last rounds",
}
#: What every personal method has to beat, and what needs no training.
BASELINE = ("promptfl", FINE_TUNED)
PLAIN = "zero_shot"

Model = tuple[str, str]
"""A method, and which model of its clients is tested."""


def models_of(study: Study, setting: str) -> dict[Model, dict[str, Estimate]]:
    """Return the numbers of every model in a setting, the most accurate on its own images first."""
    found = {
        (method, results[0].choices["model"]): estimates(results)
        for method in study.scores[setting].methods
        for results in personal_results(study, setting, method)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]["personal"].mean))


def page(study: Study, params: Params, rates: Mapping[str, Scores], took: str) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    rates : mapping of method to mapping of rate to score
        Of `benchmarks.personal_tuning`; empty where nothing was chosen.
    took : str
        How long `dvc repro` ran, and on what.
    """
    found = {setting: models_of(study, setting) for setting in study.scores}
    blocks = [
        "# Results of personal models",
        "Every number is read from `results/` by the last of these commands; the first two made "
        f"them in {took}.",
        f"<!-- not run: takes too long -->\n```sh\n{COMMAND}\n```",
        _conditions(params, study),
        _tuned(rates, params),
        "## What comes out",
        "\n".join(line for setting, own in found.items() for line in _said(setting, own)),
        *(block for setting, own in found.items() for block in _setting(setting, own)),
    ]
    if study.missing:
        blocks.append("## Missing\n\n" + "\n".join(f"* {name}" for name in study.missing))
    return "\n\n".join(blocks) + "\n"


def _conditions(params: Params, study: Study) -> str:
    federation, evaluation = params.federation, params.evaluation
    tuned = ", ".join(method_title(m) for m in evaluation.fine_tuned or params.run.trained)
    return (
        f"Backbone {params.backbone.name}, datasets {' and '.join(params.data.datasets)}; "
        f"{plural(len(study.seeds), 'seed')}, shown as mean ± sample standard deviation; "
        f"{plural(federation.rounds, 'round')} with {percent(federation.participation, 0)} % of "
        f"the clients, {plural(federation.local_epochs, 'local epoch')} in batches of "
        f"{federation.batch_size}, at most {params.partition.shots} training images per class. "
        f"Clients train among {params.partition.candidates} classes of their dataset and are "
        f"tested among {evaluation.candidates}; mean over clients {evaluation.client_mean}. "
        f"Clients of {tuned} are tested again after "
        f"{plural(evaluation.fine_tune_epochs, 'epoch')} on their own images. The last round is "
        f"reported; *last rounds* is the mean of the last {federation.kept_rounds}. Columns are "
        "defined in [personal evaluation](personal_evaluation.md). FedCoCoOp is left out for "
        "time: it encodes a text per image and class."
    )


def _tuned(rates: Mapping[str, Scores], params: Params) -> str:
    scored = "the accuracy of each client's model on half of its training images, held back"
    return tuned_text(rates, params.run.trained, SEED, scored, "benchmarks.personal_tuning")


def _setting(setting: str, found: Mapping[Model, Mapping[str, Estimate]]) -> Iterator[str]:
    yield f"## {setting_title(setting)}"
    yield setting_note(setting)
    rows = [
        [model_title(*model), *(_cell(numbers.get(key)) for key in COLUMNS)]
        for model, numbers in found.items()
    ]
    yield markdown_table(["method", *COLUMNS.values()], rows)


def _cell(value: Estimate | None) -> str:
    if value is None:
        return "—"
    return percent(value.mean) + ("" if value.std is None else f" ± {percent(value.std)}")


def _said(setting: str, found: Mapping[Model, Mapping[str, Estimate]]) -> Iterator[str]:
    """Say who is ahead on own classes, what that costs on new ones, and where FedMVP stands."""
    if BASELINE not in found:
        return
    base = found[BASELINE]
    yield f"\n**{setting_title(setting)}.**\n"
    own = [model for model in found if _is_personal(model)]
    better = [m for m in own if found[m]["personal"].mean > base["personal"].mean]
    worse = [m for m in own if m not in better]
    yield (
        f"* Methods with tensors of the clients' own, against fine-tuned PromptFL on each client's "
        f"own images ({_cell(base['personal'])}): ahead {_gaps(found, better, base, 'personal')}; "
        f"behind {_gaps(found, worse, base, 'personal')}."
    )
    plain = found.get((PLAIN, "untrained"))
    if plain and "personal_new" in plain:
        models = [*own, BASELINE]
        lost = [m for m in models if found[m]["personal_new"].mean < plain["personal_new"].mean]
        kept = [m for m in models if m not in lost]
        yield (
            f"* Their models on classes nobody trained, against zero-shot "
            f"({_cell(plain['personal_new'])}): lower {_gaps(found, lost, plain, 'personal_new')}; "
            f"not lower {_gaps(found, kept, plain, 'personal_new')}."
        )
    for model in (m for m in found if m[0] == FOCUS):
        numbers = found[model]
        rank = 1 + sum(n["personal"].mean > numbers["personal"].mean for n in found.values())
        new = 1 + sum(n["personal_new"].mean > numbers["personal_new"].mean for n in found.values())
        yield (
            f"* {model_title(*model)}: place {rank} of {len(found)} on own images "
            f"({points(numbers['personal'].mean - base['personal'].mean)} against fine-tuned "
            f"PromptFL), place {new} on new classes."
        )


def _is_personal(model: Model) -> bool:
    return model[1] == "aggregated_and_own"


def _gaps(
    found: Mapping[Model, Mapping[str, Estimate]],
    models: Sequence[Model],
    base: Mapping[str, Estimate],
    key: str,
) -> str:
    said = [f"{model_title(*m)} {points(found[m][key].mean - base[key].mean)}" for m in models]
    return ", ".join(said) or "nobody"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page of params.yaml's profile."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--took", required=True, help='e.g. "one hour on two cores"')
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    params = load_params()
    study = study_of(params)
    write_text(chosen.out, page(study, params, read_rates(RECORD), chosen.took))
    print(chosen.out)


if __name__ == "__main__":
    run_stage(main)
