"""``fedmvp predict``: classify image files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["predict"]

_MOST = 5


def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Result's folder or weights.safetensors, an export, imported file, or zero_shot."
        ),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="`pictoclip` or an open_clip model; else the run's.")
    ] = None,
    backbone_weights: Annotated[
        Path | None,
        typer.Option(help="Local .safetensors or .pt: OpenAI's, open_clip's or Hugging Face's."),
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="open_clip's tag, to fetch the backbone's weights.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Dataset that gives classes, template, sentences and attributes."),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="Domain whose sentences are used, where they differ.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Candidate classes, one name a line.")
    ] = None,
    attributes: Annotated[
        Path | None, typer.Option(help='JSON of {"class": ["attribute", ...]}.')
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Method; else the weights' own, or zero_shot without weights."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="fedmvp: paper or official-code; else the run's, or paper.")
    ] = None,
    lora: Annotated[
        bool | None, typer.Option("--lora/--no-lora", help="fedmvp: apply LoRA or not.")
    ] = None,
    fold: Annotated[str | None, typer.Option(help="Fold, if the weights have several.")] = None,
    logits: Annotated[
        bool, typer.Option("--logits", help="Give logits, not probabilities.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    explain: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write a PNG of the attributes that patches attend to."),
    ] = None,
) -> None:
    """Classify image files.

    With a trained method, imported weights or zero-shot CLIP. Options left out come from the run
    that made the weights, if its run.json is beside them. All images are decoded before
    any is classified.
    """
    from fedmvp.cli.output import print_json
    from fedmvp.data.inputs import image_files
    from fedmvp.devices import prepare_device
    from fedmvp.output_files import check_output, write_output
    from fedmvp.prediction.backbones import BackboneChoice
    from fedmvp.prediction.load import load_predictor
    from fedmvp.prediction.model import PredictionWarning, classify
    from fedmvp.prediction.request import PredictionRequest
    from fedmvp.results.learned import weights_file

    images = image_files(images)
    read = [*images, *(path for path in (backbone_weights, classes, attributes) if path)]
    read += [] if weights is None else [weights_file(weights)]
    if explain is not None:
        check_output(explain, read)
    asked = BackboneChoice(backbone, backbone_weights, pretrained)
    request = PredictionRequest(
        weights=weights,
        backbone=None if asked == BackboneChoice() else asked,
        dataset=dataset,
        domain=domain,
        classes=classes,
        attributes=attributes,
        method=method,
        variant=variant,
        lora=lora,
        fold=fold,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", PredictionWarning)
        predictor = load_predictor(request, device=prepare_device())
        found = classify(predictor, images, attention=explain is not None)
    for warning in caught:
        if issubclass(warning.category, PredictionWarning):
            say(f"warning: {warning.message}", err=True)
    scores = found.logits if logits else found.probabilities
    if as_json:
        key = "logits" if logits else "probabilities"
        records = _records(found.images, found.classes, key, scores)
        if found.many_labels:
            for record, names in zip(records, found.shown, strict=True):
                record |= {"shown": list(names), "threshold": found.threshold}
        print_json(records)
    else:
        for image, row, names in zip(found.images, scores, found.shown, strict=True):
            _print_best(image, found.classes, row, percent=not logits)
            if found.many_labels:
                said = ", ".join(names) or "none of the classes"
                say(f"  shown, above {100 * found.threshold:g} %: {said}")
    if explain is not None:
        write_output(explain, found.picture(), read)
        say(f"attention: {explain}", err=True)


def _records(
    images: tuple[str, ...], names: tuple[str, ...], key: str, values: NDArray[Any]
) -> list[dict[str, Any]]:
    return [
        {"image": image, key: dict(zip(names, map(float, row), strict=True))}
        for image, row in zip(images, values, strict=True)
    ]


def _print_best(image: str, names: tuple[str, ...], values: NDArray[Any], *, percent: bool) -> None:
    from fedmvp.prediction.predictor import ranked

    say(image)
    for name, value in ranked(names, values, _MOST):
        say(f"  {100 * value:6.2f} %  {name}" if percent else f"  {value:8.4f}  {name}")
