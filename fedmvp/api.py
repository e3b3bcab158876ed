"""FedMVP from Python: ``fedmvp.load``, ``fedmvp.train``, ``fedmvp.evaluate``.

They use the pipeline's own functions on images in memory: the training of
`fedmvp.federation.training`, the evaluation of `fedmvp.evaluation.protocol` and the model of
`fedmvp.prediction`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.config import Params
from fedmvp.devices import named_device, prepare_device
from fedmvp.errors import ConfigError
from fedmvp.evaluation.protocol import evaluate as evaluate_targets
from fedmvp.federation.client import load_tensors
from fedmvp.federation.rounds import RoundReport
from fedmvp.federation.training import train as train_partition
from fedmvp.files import sha256_json
from fedmvp.methods.banks import OneBank
from fedmvp.methods.base import MethodParams
from fedmvp.methods.build import build_method, load_method, method_params, resolved_federation
from fedmvp.partition.given import DATASET, GivenImages, clients_of, targets_of
from fedmvp.partition.model import Partition
from fedmvp.partition.setting_spec import MAIN_FOLD
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone
from fedmvp.prediction.bundle import save_bundle
from fedmvp.prediction.candidates import Candidates, choose_candidates
from fedmvp.prediction.description import Bundle, NamedBackbone
from fedmvp.prediction.load import load_model
from fedmvp.prediction.model import Model
from fedmvp.prediction.predictor import CandidateBank
from fedmvp.prediction.request import PredictionRequest
from fedmvp.profiles import profile_params
from fedmvp.results.predictions import TargetPredictions
from fedmvp.results.rounds import RoundRow
from fedmvp.results.running import describe
from fedmvp.results.weights import fold_tensors

__all__ = ["Labelled", "Model", "Scores", "Training", "evaluate", "load", "train"]

Labelled = Iterable[tuple[Any, str]]
"""Images in any form (`fedmvp.data.inputs`), each with the name of its class."""


def load(
    path: str | Path,
    *,
    fold: str | None = None,
    backbone: str | None = None,
    device: str | None = None,
) -> Model:
    """Return a trained model.

    Parameters
    ----------
    path : str or Path
        ``results/<setting>/<method>/seed<k>``, a folder `fedmvp export` or `Training.save` wrote,
        imported weights, or the name of a method that learns nothing, such as ``zero_shot``.
    fold : str, optional
        Fold to load, for a setting with several folds.
    backbone : str, optional
        Name of the CLIP model, if neither the run nor params.yaml names it.
    device : str, optional
        ``cpu``, ``cuda``, ``cuda:1``; by default the first of ``FEDMVP_DEVICE``.

    Raises
    ------
    FedMVPError
        Naming what is missing or does not fit, with a hint.
    """
    choice = None if backbone is None else BackboneChoice(backbone)
    request = PredictionRequest(Path(path), backbone=choice, fold=fold)
    return load_model(request, device=named_device(device))


@dataclass(frozen=True)
class Training:
    """The result of `train`.

    Parameters
    ----------
    model : Model
        The global model after the last round.
    rounds : tuple of RoundRow
        One for each client in each round: losses, accuracy, bytes.
    failures : tuple of dict
        Clients that gave no usable update.
    """

    model: Model
    rounds: tuple[RoundRow, ...]
    failures: tuple[dict[str, Any], ...]

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder that `load` reads; see `fedmvp.prediction.bundle`."""
        tensors = {name: t.detach().cpu() for name, t in self.model.method.tensors().items()}
        save_bundle(Path(folder), self.model.bundle, tensors)


def train(
    clients: Mapping[str, Labelled],
    attributes: Mapping[str, Sequence[str]] | None = None,
    *,
    method: str = "fedmvp",
    classes: Sequence[str] | None = None,
    template: str = "a photo of a {}.",
    backbone: str | BackboneChoice = "pictoclip",
    params: Mapping[str, Any] | None = None,
    federation: Mapping[str, Any] | None = None,
    seed: int = 1,
    device: str | None = None,
    checkpoints: str | Path | None = None,
    progress: Callable[[RoundReport], None] | None = None,
) -> Training:
    """Train a method on clients whose images are given.

    Parameters that are not given are those of the default profile; threads, determinism and device
    are those of the environment, as for the stages (docs/reference/environment.md).

    Parameters
    ----------
    clients : mapping of str to iterable of (image, str)
        Each client's training images with their classes; it trains among the classes it has.
    attributes : mapping of str to sequence of str, optional
        Short descriptions of each class. Without them FedMVP's bank holds the class names and its
        classifier the hand template (``attr_bank: names``, ``classifier: template``).
    method : str, default="fedmvp"
    classes : sequence of str, optional
        Label order of the model; sorted by default.
    template : str, default="a photo of a {}."
        Template with one ``{}`` for the class name; attribute sentences begin with it, too.
    backbone : str or BackboneChoice, default="pictoclip"
    params, federation : mapping, optional
        Entries of ``methods.<method>`` and of ``federation`` (docs/reference/params.md).
    seed : int, default=1
    checkpoints : str or Path, optional
        Folder for a checkpoint of each round; the same call resumes from it, and
        ``fedmvp watch --scratch FOLDER`` shows the progress.
    progress : callable, optional
        Called after each client.

    Raises
    ------
    FedMVPError
        Naming the entry, client or image that is wrong, with a hint.
    """
    defaults = profile_params("default")
    section = _section(method, defaults, params or {}, federation or {}, attributes is not None)
    sampled = resolved_federation(method, section, defaults.federation)
    tower = _backbone(backbone, defaults, device)
    images = GivenImages(clients, tower.spec.vision.image_size, "clients")
    candidates = _candidates(images, classes, attributes, template)
    partition = _partition(clients=clients_of(images))
    bundle = Bundle(
        method=method,
        section=section.resolved(),
        seed=seed,
        backbone=NamedBackbone.of(tower),
        default=DATASET,
        candidates={DATASET: candidates},
    )
    scratch = None
    if checkpoints is not None:
        every = {name: images.key(DATASET, ids) for name, ids in sorted(images.ids.items())}
        identity = [bundle.model_dump(mode="json"), sampled.model_dump(mode="json"), every]
        scratch = Path(checkpoints) / sha256_json(identity)[:24]
        describe(scratch, f"{method} seed {seed}", sampled.rounds, [MAIN_FOLD])
    result = train_partition(
        partition,
        lambda: build_method(method, tower, section, seed),
        OneBank(CandidateBank(tower, candidates)),
        images,
        sampled,
        seed=seed,
        scratch=scratch,
        progress=None if progress is None else lambda _, report: progress(report),
    )
    trained = build_method(method, tower, section, seed)
    load_tensors(trained, fold_tensors(trained, result.tensors, MAIN_FOLD))
    rows = tuple(RoundRow(**row) for row in result.rows)
    return Training(Model(bundle, trained), rows, tuple(result.failures))


@dataclass(frozen=True)
class Scores:
    """The result of `evaluate`.

    Parameters
    ----------
    accuracy : dict of str to float
        Top-1 accuracy on each target, a fraction.
    predictions : tuple of TargetPredictions
        The predicted class of each image, in the order given.
    """

    accuracy: dict[str, float]
    predictions: tuple[TargetPredictions, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over targets."""
        return fmean(self.accuracy.values())


def evaluate(
    model: Model,
    targets: Mapping[str, Labelled],
    classes: Sequence[str] | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    *,
    batch_size: int = 32,
) -> Scores:
    """Return a model's accuracy on images in memory.

    Parameters
    ----------
    targets : mapping of str to iterable of (image, str)
        Test images with their classes, by target name.
    classes : sequence of str, optional
        Classes to choose from; by default every class that occurs in `targets`.
    attributes : mapping of str to sequence of str, optional
        Descriptions of classes the model does not know.

    Raises
    ------
    FedMVPError
        Naming the target, class or image that is wrong, with a hint.
    """
    images = GivenImages(targets, model.image_size_px, "targets")
    names = tuple(images.classes if classes is None else classes)
    predictor = model.predictor(classes=names, attributes=attributes)
    partition = _partition(targets=targets_of(images, names))
    found: list[TargetPredictions] = []
    rows = evaluate_targets(
        partition,
        model.method,
        lambda fold: None,  # the model already has its tensors
        OneBank(predictor.classes.bank),
        images,
        batch_size=batch_size,
        record=found.append,
    )
    return Scores({row["name"]: row["accuracy"] for row in rows}, tuple(found))


def _partition(**parts: Any) -> Partition:
    """Return a setting of one fold; a client or target may hold any class."""
    everything = {"clients": (), "targets": (), **parts}
    return Partition("custom", "transfer", "by_image", shared_classes=True, **everything)


def _section(
    method: str,
    defaults: Params,
    params: Mapping[str, Any],
    federation: Mapping[str, Any],
    described: bool,
) -> MethodParams:
    """Return the method's section; the caller's federation entries override its own."""
    section: dict[str, Any] = {**defaults.methods.get(method, {}), **params}
    if not described and "attr_bank" in load_method(method).Params.model_fields:
        section |= {"attr_bank": "names", "classifier": "template"} | dict(params)
    section["federation"] = {**section.get("federation", {}), **federation}
    return method_params(method, section)


def _backbone(choice: str | BackboneChoice, defaults: Params, device: str | None) -> Backbone:
    if isinstance(choice, str):
        choice = BackboneChoice(choice)
    where = prepare_device(device, option=None if device is None else "device")
    return load_backbone(
        prepare_backbone(choice),
        precision=defaults.backbone.precision,
        linear=defaults.backbone.linear,
        device=where,
    )


def _candidates(
    images: GivenImages,
    classes: Sequence[str] | None,
    attributes: Mapping[str, Sequence[str]] | None,
    template: str,
) -> Candidates:
    if template.count("{}") != 1:
        raise ConfigError(
            "does not contain {} once", where="template", value=template, hint='"a {}."'
        )
    names = images.classes if classes is None else classes
    chosen = choose_candidates(classes=names, attributes=attributes)
    targets_of(images, chosen.classes)  # every label is one of them
    style = {"template": template, "prefix": template.partition("{}")[0].strip()}
    return chosen.model_copy(update=style)
