"""The model card of an exported run, made from the run's files: README.md as hubs show it.

Every statement comes from a file of the result; what no file says is left out or called unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fedmvp.catalog.spec import dataset_names, load_spec
from fedmvp.clip.spec import BackboneSpec
from fedmvp.errors import printable
from fedmvp.evaluation.bootstrap import Interval, metric_intervals
from fedmvp.evaluation.domain import domain_of
from fedmvp.methods import method_title
from fedmvp.prediction.description import Bundle
from fedmvp.results.federations import is_federation
from fedmvp.results.files import METRICS, PREDICTIONS, RECORD, ROUNDS, TARGETS
from fedmvp.results.predictions import read_predictions
from fedmvp.results.record import read_metrics, read_record
from fedmvp.results.rounds import read_rounds
from fedmvp.results.targets import TargetScore, read_targets
from fedmvp.wording import count_text, plural

__all__ = ["model_card"]

_HEAD = """---
library_name: fedmvp
license: other
pipeline_tag: zero-shot-image-classification
tags: [federated-learning, prompt-learning, clip, {method}]
---
# {title} on {backbone}

{what}

```python
import fedmvp
model = fedmvp.load("{folder}")
print(model.classify("photo.png"{classes}).{answer})
```

`{folder}` is this folder; `classes=[…]` and `attributes={{…}}` choose other classes. The package
fedmvp {version} wrote it.
"""


def model_card(bundle: Bundle, spec: BackboneSpec, result: Path, *, fold: str | None = None) -> str:
    """Return the card of a result.

    Parameters
    ----------
    result : Path
        Folder with run.json; metrics.json, targets.csv, predictions.csv and rounds.csv are read
        if they exist.
    fold : str, optional
        The fold whose tensors are exported; rows of the others are left out.

    Raises
    ------
    DataError
        When one of these files is damaged.
    """
    import fedmvp

    record = read_record(result / RECORD)
    title = method_title(bundle.method)
    head = _HEAD.format(
        method=bundle.method,
        title=title,
        backbone=spec.name,
        folder=".",
        version=fedmvp.__version__,
        answer="top(3)" if bundle.multilabel is None else "shown",
        classes="" if bundle.candidates else ', classes=["…", "…"]',
        what=f"{title}, trained by a federation in the setting `{record.key.setting}` with seed "
        f"{record.key.seed}: what it learned, the classes it knows with their texts encoded, and "
        "how an image is prepared. Images never left their clients; what they sent was averaged.",
    )
    many = bundle.multilabel is not None
    parts = (
        ("Data", _data(bundle)),
        ("Training", _training(result, bundle, fold)),
        (
            "Average precision" if many else "Accuracy",
            _precision(result, fold) if many else _accuracy(result, fold),
        ),
        ("Backbone", _backbone(bundle, spec)),
        ("Limits", _limits(spec, bundle)),
        ("Licences", _licences(bundle)),
    )
    sections = ["\n".join([f"\n## {name}\n", *lines]) for name, lines in parts]
    return head + "\n".join(sections) + "\n"


def _data(bundle: Bundle) -> Iterator[str]:
    if not bundle.candidates:
        yield (
            "Sites trained it on images and classes of their own, which they did not share. "
            "Classes, and attributes for a method that reads them, are given when it is used."
        )
        return
    yield "| dataset | classes | attributes | template |"
    yield "|---|---|---|---|"
    for name, known in bundle.candidates.items():
        texts = sum(map(len, known.attributes.values()))
        yield _row(name, len(known.classes), texts, known.template)
    yield f"\nBy default an image gets one of the classes of `{bundle.default}`."


def _training(result: Path, bundle: Bundle, fold: str | None) -> Iterator[str]:
    path = result / ROUNDS
    if path.is_file():
        rows = [row for row in read_rounds(path) if fold is None or row.fold == fold]
        images = {(row.fold, row.client): row.images for row in rows}
        rounds = 1 + max((row.round for row in rows), default=-1)
        sent = sum(row.bytes_up for row in rows) / max(len(rows), 1)
        yield (
            f"{plural(len(images), 'client')} with {plural(sum(images.values()), 'image')} took "
            f"part in {plural(rounds, 'round')}; a client sent {count_text(sent)} bytes a round "
            "on average."
        )
    else:
        yield "The log of its rounds is missing."
    params = read_record(result / RECORD).params
    chosen = {**params.get("federation", {}), **bundle.section}
    yield "\n| parameter | value |\n|---|---|"
    for key, value in sorted(chosen.items()):
        # The run's federation section already includes the method's own entries.
        if value is not None and key != "federation":
            yield _row(f"`{key}`", value)


def _accuracy(result: Path, fold: str | None) -> Iterator[str]:
    if not (result / METRICS).is_file() or not (result / TARGETS).is_file():
        yield "It was not evaluated."
        return
    metrics = read_metrics(result / METRICS)
    if is_federation(result):
        yield "Counted by the sites on their own held-out images, and added up; in percent.\n"
        yield "| metric | value |\n|---|---|"
        yield from (_row(name, f"{100 * value:.1f}") for name, value in metrics.items())
        return
    targets = read_targets(result / TARGETS)
    intervals = _intervals(result, targets)
    yield (
        "Top-1 accuracy on the setting's test images in percent, of one run"
        + ("" if fold is None else f" over all folds (these are the tensors of fold `{fold}`)")
        + (
            "; with 95 % intervals of a bootstrap over test images and classes, which say "
            "nothing about other training seeds.\n"
            if intervals
            else ". Predictions of single images are missing, so there are no intervals.\n"
        )
    )
    yield "| metric | accuracy | interval |\n|---|---|---|"
    for name, value in metrics.items():
        found = intervals.get(name)
        ends = "" if found is None else f"{100 * found.low:.1f} to {100 * found.high:.1f}"
        yield _row(name, f"{100 * value:.1f}", ends)


def _precision(result: Path, fold: str | None) -> Iterator[str]:
    if not (result / METRICS).is_file():
        yield "It was not evaluated."
        return
    yield (
        "On the setting's test images in percent, of one run"
        + ("" if fold is None else f" over all folds (these are the tensors of fold `{fold}`)")
        + ". `map` is the mean over classes of average precision, `prevalence` what a random order "
        "scores; `of1_val` is F1 over all pairs of image and class at the threshold chosen on the "
        "clients' validation images.\n"
    )
    yield "| metric | value |\n|---|---|"
    for name, value in read_metrics(result / METRICS).items():
        if "/" not in name:
            yield _row(f"`{name}`", f"{100 * value:.1f}")


def _intervals(result: Path, targets: Sequence[TargetScore]) -> dict[str, Interval]:
    path = result / PREDICTIONS
    if not path.is_file():
        return {}
    answers = read_predictions(path, [vars(target) for target in targets])
    base_to_new = any(target.group == "base" for target in targets)
    protocol = "base_to_new" if base_to_new else "transfer"
    return metric_intervals(protocol, answers.targets, answers.correct)


def _backbone(bundle: Bundle, spec: BackboneSpec) -> Iterator[str]:
    weights = "" if spec.pretrained is None else f" with the weights `{spec.pretrained}`"
    yield (
        f"`{spec.name}`{weights}, frozen, {spec.vision.image_size} px, "
        f"in {bundle.backbone.precision}. SHA-256 of its tensors: `{spec.tower_sha256}`. Where "
        "there is a folder `backbone/` it is in there; else it is found by its name, or in the "
        "file that `FEDMVP_BACKBONE` names."
    )


def _limits(spec: BackboneSpec, bundle: Bundle) -> Iterator[str]:
    kind = domain_of(spec)
    if kind is not None:
        yield f"* The backbone knows {kind.images}; other images are out of its domain."
    if bundle.multilabel is None:
        yield "* It always answers with one of the classes it is given, whatever the image shows."
        yield "* Probabilities are a softmax over these classes; they are not calibrated."
    else:
        threshold = 100 * (bundle.threshold or 0.5)
        yield f"* Classes with a probability above {threshold:g} % are predicted, if there are any."
        yield "* Each class has its own probability; these do not sum to one."
    yield "* Averaging alone guarantees no privacy; `privacy` above says whether noise was added."


def _licences(bundle: Bundle) -> Iterator[str]:
    known = set(dataset_names())
    for name in bundle.candidates:
        spec = load_spec(name) if name in known else None
        licence = spec.licence if spec is not None and spec.licence else "unknown"
        yield f"* Images of {name}: {printable(licence)}"
    yield "* Attribute texts were written by a language model or by the dataset's owner."
    yield "* The backbone's weights keep their own terms; the code is under the Apache License 2.0."


def _row(*cells: object) -> str:
    return "| " + " | ".join(printable(str(cell)).replace("|", "\\|") for cell in cells) + " |"
