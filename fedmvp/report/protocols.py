"""The names of metrics, and the titles of settings on the page.

``metrics.json`` of a run is flat; all values are fractions in [0, 1]:

* base-to-new protocol: ``local``, ``base``, ``new``, ``hm`` and ``<metric>/<dataset>``;
* multi-label protocol: ``map`` and its parts (`fedmvp.evaluation.multilabel_summary`);
* transfer protocol (cross-dataset, domain generalisation): ``mean``, ``<target>`` and, where a
  target spans several datasets, ``<target>/<dataset>``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedmvp.partition.setting_spec import MAIN_FOLD

__all__ = [
    "Metric",
    "Protocol",
    "fold_text",
    "protocol_of",
    "setting_note",
    "setting_phrase",
    "setting_title",
    "split_metric",
]


@dataclass(frozen=True)
class Metric:
    """A headline metric: its key in metrics.json, its column title and what it measures.

    Attributes
    ----------
    optional : bool
        Whether a setting may have no targets for it; the metric is then not shown.
    chance : str
        Key of the score of a random order, a property of the images; empty if there is none.
    """

    key: str
    title: str
    meaning: str
    optional: bool = False
    chance: str = ""


@dataclass(frozen=True)
class Protocol:
    """How settings of a protocol are scored.

    Attributes
    ----------
    metrics : tuple of Metric
        The headline metrics, in the order in which they are printed.
    primary : str
        Key of the metric by which methods are ranked.
    primary_phrase : str
        Its name within a sentence.
    part : str
        What detailed scores are given for: ``"dataset"`` or ``"target"``.
    """

    name: str
    metrics: tuple[Metric, ...]
    primary: str
    primary_phrase: str
    part: str

    def title(self, key: str) -> str:
        """Return the column title of the headline metric `key`."""
        return self.metric(key).title

    def metric(self, key: str) -> Metric:
        """Return the headline metric `key`."""
        return next(metric for metric in self.metrics if metric.key == key)

    @property
    def scored(self) -> tuple[Metric, ...]:
        """The headline metrics that depend on the method, without those of a random order."""
        chances = {metric.chance for metric in self.metrics}
        return tuple(metric for metric in self.metrics if metric.key not in chances)


_BASE_TO_NEW = Protocol(
    name="base_to_new",
    metrics=(
        Metric("local", "Local", "each client's test images, among the classes it trains among"),
        Metric("base", "Base", "test images of all trained classes of a dataset, among them"),
        Metric("new", "New", "test images of the other classes, unseen in training, among them"),
        Metric("hm", "HM", "harmonic mean of Local, Base and New"),
    ),
    primary="hm",
    primary_phrase="HM",
    part="dataset",
)
_TRANSFER = Protocol(
    name="transfer",
    metrics=(Metric("mean", "Mean", "mean accuracy over the targets"),),
    primary="mean",
    primary_phrase="mean accuracy",
    part="target",
)
_MULTILABEL = Protocol(
    name="multilabel",
    metrics=(
        Metric(
            "map",
            "mAP",
            "mean over the trained classes of average precision, all test images",
            chance="prevalence",
        ),
        Metric(
            "prevalence",
            "Prevalence",
            "share of images that show a class, mean over classes: "
            "what a random order scores as mAP",
        ),
        Metric(
            "map_local",
            "Local mAP",
            "each client's own test images, mean over clients",
            True,
            "prevalence_local",
        ),
        Metric("prevalence_local", "Local prevalence", "of the classes in these images", True),
        Metric("map_zsl", "ZSL mAP", "unseen classes among themselves", True, "prevalence_zsl"),
        Metric("prevalence_zsl", "ZSL prevalence", "of the unseen classes in these images", True),
        Metric(
            "map_gzsl",
            "GZSL mAP",
            "seen and unseen classes scored together",
            True,
            "prevalence_gzsl",
        ),
        Metric("prevalence_gzsl", "GZSL prevalence", "of all classes in these images", True),
        Metric("h", "H", "harmonic mean of the GZSL mAP of seen and of unseen classes", True),
        Metric(
            "of1_val",
            "OF1",
            "F1 over all pairs of image and class, at the threshold of the "
            "clients' validation counts",
        ),
    ),
    primary="map",
    primary_phrase="mAP",
    part="dataset",
)
_PROTOCOLS = {protocol.name: protocol for protocol in (_BASE_TO_NEW, _TRANSFER, _MULTILABEL)}

_BENCHMARKS = {
    "domainnet": "DomainNet",
    "officehome": "OfficeHome",
    "pacs": "PACS",
    "terraincognita": "TerraIncognita",
    "vlcs": "VLCS",
}
# Longest prefix first: `msst_pacs` is found under `msst`. Title, name within a sentence, note.
_SETTINGS = {
    "imagenet_variants": (
        "ImageNet variants",
        "ImageNet-variants",
        "Trained on ImageNet, tested on its variants.",
    ),
    "coco2014_48_17": (
        "COCO 2014, 17 classes unseen",
        "COCO 2014 (17 classes unseen)",
        "17 classes are in no training image; they are tested alone and among all.",
    ),
    "coco2014": ("COCO 2014", "COCO 2014", "Clients share all classes and differ in images."),
    "mlrsnet": ("MLRSNet", "MLRSNet", "Clients share all classes and differ in images."),
    "multiscene": ("MultiScene", "MultiScene", "Clients share all classes and differ in images."),
    "nuswide": ("NUS-WIDE", "NUS-WIDE", "Clients share all classes and differ in images."),
    "voc2007": ("VOC 2007", "VOC 2007", "Clients share all classes and differ in images."),
    "cross_dataset": (
        "Cross-dataset",
        "cross-dataset",
        "Trained on one dataset, tested on all classes of others the clients never saw.",
    ),
    "base_to_new": (
        "Base to new",
        "base-to-new",
        "Clients hold disjoint base classes; tested on their own, on all base, on unseen classes.",
    ),
    "dirichlet_01": (
        "Label skew, Dirichlet 0.1",
        "Dirichlet-0.1",
        "Every class dealt to clients in proportions ~ Dir(0.1): few classes a client.",
    ),
    "dirichlet_05": (
        "Label skew, Dirichlet 0.5",
        "Dirichlet-0.5",
        "Every class dealt to clients in proportions ~ Dir(0.5).",
    ),
    "few_shot_disjoint": (
        "Few shots of disjoint classes",
        "disjoint-classes",
        "Clients hold classes that no other has, a few images of each.",
    ),
    "few_shot": (
        "Few shots",
        "few-shot",
        "Clients hold classes that no other has, a few images of each.",
    ),
    "msst": (
        "Multi-source domains",
        "multi-source",
        "Trained on several domains, tested on the one left out (MSST).",
    ),
    "ssmt": (
        "Single-source domains",
        "single-source",
        "Trained on one domain, tested on the others (SSMT).",
    ),
}


def protocol_of(name: str) -> Protocol:
    """Return how settings of protocol `name` are scored."""
    return _PROTOCOLS[name]


def setting_title(setting: str) -> str:
    """Return a setting's title, e.g. ``msst_pacs`` as ``Multi-source domains: PACS``."""
    prefix, rest = _known(setting)
    if not prefix:
        return setting.replace("_", " ").capitalize()
    return f"{_SETTINGS[prefix][0]}: {rest}" if rest else _SETTINGS[prefix][0]


def setting_phrase(setting: str) -> str:
    """Return a setting's name within a sentence, e.g. ``multi-source (PACS)``."""
    prefix, rest = _known(setting)
    if not prefix:
        return setting.replace("_", " ")
    return f"{_SETTINGS[prefix][1]} ({rest})" if rest else _SETTINGS[prefix][1]


def setting_note(setting: str) -> str:
    """Return a sentence about what the setting measures, empty for an unknown one."""
    prefix, _ = _known(setting)
    return _SETTINGS[prefix][2] if prefix else ""


def _known(setting: str) -> tuple[str, str]:
    """Return the key of a setting's entry in _SETTINGS, and the rest of its name."""
    for prefix in _SETTINGS:
        if setting == prefix:
            return prefix, ""
        if setting.startswith(f"{prefix}_"):
            rest = setting.removeprefix(f"{prefix}_")
            return prefix, _BENCHMARKS.get(rest, rest.replace("_", " "))
    return "", ""


def fold_text(fold: str) -> str:
    """Return a fold's name, a dash for the only fold of a setting without folds."""
    return "—" if fold in ("", MAIN_FOLD) else fold


def split_metric(key: str, known: Iterable[str]) -> tuple[str, str]:
    """Split a metric key into the longest other key it extends and the rest.

    Examples
    --------
    >>> split_metric("hm/food", ["hm", "hm/food"])
    ('hm', 'food')
    >>> split_metric("noto", ["mean", "noto"])
    ('', 'noto')
    """
    parents = [name for name in known if key.startswith(f"{name}/")]
    parent = max(parents, key=len, default="")
    return (parent, key[len(parent) + 1 :]) if parent else ("", key)
