"""Published zero-shot numbers that tell whether data, tower and metric are read as elsewhere.

A number of the LAION project CLIP_benchmark belongs to a frozen model, a template and a test set.
Whoever has all three must get the same number; if not, labels, classes, images or the metric are
not what they should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedmvp.catalog.layouts import VocLists
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.clip.backbone import Backbone
from fedmvp.data.build import build_manifest
from fedmvp.data.images import load_images
from fedmvp.errors import ConfigError, nearest
from fedmvp.evaluation.average_precision import average_precisions, mean_average_precision

__all__ = ["ANCHORS", "TOLERANCE", "Measured", "anchor_value", "as_published", "measure_anchor"]

ANCHORS: Mapping[str, Mapping[str, float]] = {
    "voc2007": {"ViT-B-16": 0.7888, "ViT-B-32": 0.7601, "ViT-L-14": 0.7904},
}
"""mAP by dataset and model with OpenAI's weights (CLIP_benchmark's benchmark.csv,
``voc2007_multilabel``, template "a photo of a {}.")."""

TOLERANCE = 0.003
_PRETRAINED = "openai"
_BATCH = 64


@dataclass(frozen=True)
class Measured:
    """A measured number beside the published one, both as fractions."""

    dataset: str
    model: str
    images: int
    found: float
    published: float

    @property
    def holds(self) -> bool:
        """Whether they differ by no more than the tolerance."""
        return abs(self.found - self.published) <= TOLERANCE


def anchor_value(dataset: str, model: str, pretrained: str | None) -> float:
    """Return the published number.

    Raises
    ------
    ConfigError
        When no number is known for the dataset, or for the model with these weights.
    """
    if dataset not in ANCHORS:
        raise ConfigError(
            "no published number is known",
            where="dataset",
            value=dataset,
            hint=nearest(dataset, ANCHORS),
        )
    known = ANCHORS[dataset]
    name = model.removesuffix("-quickgelu")
    if name not in known or pretrained != _PRETRAINED:
        raise ConfigError(
            "no published number is known for this backbone",
            where="backbone",
            value=f"{model}, {pretrained}",
            hint=f"set backbone.name to one of {', '.join(known)} and backbone.pretrained to "
            f"{_PRETRAINED}, and run `dvc repro backbone`",
        )
    return known[name]


def as_published(spec: DatasetSpec) -> DatasetSpec:
    """Return the catalog entry as the published number assumes it.

    Difficult objects count as shown, classes are named by their raw words, and declared positives,
    which leave difficult objects out, are not checked.
    """
    layouts = tuple(
        layout.model_copy(update={"difficult": "positive"})
        if isinstance(layout, VocLists)
        else layout
        for layout in spec.layout
    )
    classes = tuple(entry.model_copy(update={"name": entry.folder}) for entry in spec.classes)
    counts = spec.counts.model_copy(update={"test_positives": {}})
    return spec.model_copy(update={"layout": layouts, "classes": classes, "counts": counts})


def measure_anchor(spec: DatasetSpec, backbone: Backbone) -> Measured:
    """Measure zero-shot mAP on the test images in the way the published number was measured.

    Raises
    ------
    ConfigError
        See `anchor_value`.
    SourceError, DataError
        See `fedmvp.data.build.build_manifest`.
    """
    model = backbone.spec.name
    published = anchor_value(spec.name, model, backbone.spec.pretrained)
    manifest = build_manifest(as_published(spec), split_seed=1)
    ids = [image.id for image in manifest.images if image.split == "test"]
    pixels = load_images(manifest, ids, backbone.spec.vision.image_size, "test")
    texts = backbone.encode_texts([spec.template.format(name) for name in manifest.classes])
    starts = range(0, len(pixels), _BATCH)
    features = backbone.frozen_features(
        backbone.normalise(pixels[start : start + _BATCH]) for start in starts
    )
    scores = (features @ texts.T).cpu().numpy().astype(np.float64)
    found = mean_average_precision(
        average_precisions(scores, manifest.label_matrix(ids, manifest.classes))
    )
    return Measured(spec.name, model, len(ids), found, published)
