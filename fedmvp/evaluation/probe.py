"""What a frozen CLIP can do with a dataset's images before any training.

Zero-shot accuracy shows how much of the features the texts use. The linear probe, a centralised
logistic regression on features of the training split, shows how much the features contain. The
shift shows how far the images are from those the image tower was trained on. All are references
for results, not methods of the comparison.

Shapes: N images, S pixels a side, K classes, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fedmvp.clip.backbone import Backbone
from fedmvp.data.image_source import ImageSource
from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.splits import Split
from fedmvp.errors import DataError
from fedmvp.evaluation.domain import domain_of, foreign_to
from fedmvp.evaluation.shift import ImageStatistics, distance, image_statistics, pooled
from fedmvp.evaluation.shift_reference import Reference, load_reference
from fedmvp.methods.banks import TextBanks
from fedmvp.methods.build import build_method, method_params
from fedmvp.methods.frozen_image import PromptedTextMethod

__all__ = ["Group", "Probe", "linear_probe", "probe_dataset"]

SAMPLE = 1024
"""Most training images of a domain whose patches are measured."""

_BATCH = 128
_COMBINED = "zero_shot_combined"


@dataclass(frozen=True)
class Group:
    """The numbers of a dataset or of one of its domains.

    Parameters
    ----------
    train_images, test_images : int
    zero_shot : float or None
        Accuracy with the dataset's template among all classes; None without test images.
    zero_shot_combined : float or None
        With template and attribute sentences; None without attributes or test images.
    statistics : ImageStatistics or None
        Of a sample of the training images; None where there are none.
    shift : float or None
        Distance of the patches from the reference; None if either is missing.
    pixel_shift : float or None
        The same distance for pixel values, for which every backbone has a reference.
    """

    name: str
    train_images: int
    test_images: int
    zero_shot: float | None
    zero_shot_combined: float | None
    statistics: ImageStatistics | None
    shift: float | None
    pixel_shift: float | None


@dataclass(frozen=True)
class Probe:
    """The numbers of a dataset.

    Parameters
    ----------
    zero_shot, linear_probe : float
        Test accuracies among all classes, fractions.
    foreign : str or None
        A warning if the images are not of the kind this backbone was trained on; always None with
        cameras, where the comparison would be meaningless.
    """

    dataset: str
    classes: int
    zero_shot: float
    linear_probe: float
    whole: Group
    domains: tuple[Group, ...]
    reference: Reference
    foreign: str | None = None

    @property
    def chance(self) -> float:
        """Accuracy of guessing, a fraction."""
        return 1 / self.classes

    @property
    def gap_points(self) -> float:
        """Linear probe minus zero-shot (template), in points: what the texts do not use."""
        return 100 * (self.linear_probe - self.zero_shot)


def probe_dataset(manifest: Manifest, backbone: Backbone, attributes: Path | None = None) -> Probe:
    """Measure a dataset.

    Parameters
    ----------
    attributes : Path, optional
        Folder with ``<dataset>.json`` of the stage ``attributes``; without that file there is no
        accuracy with both texts.

    Raises
    ------
    DataError
        When there are no test images, or training images of fewer than two classes.
    AttributeTextError
        When a class has no attributes in the file.
    """
    _require_both_splits(manifest)
    train_pixels, train_labels, train_list = _load(manifest, backbone, "train")
    test_pixels, labels, test_list = _load(manifest, backbone, "test")
    train, test = _features(backbone, train_pixels), _features(backbone, test_pixels)
    names = [manifest.template.replace("{}", n.replace("_", " ")) for n in manifest.classes]
    texts = backbone.encode_texts(names).cpu().numpy()
    right = np.asarray((test @ texts.T).argmax(axis=1) == labels)
    both = _both_texts_right(manifest, backbone, attributes, test, labels, test_list)
    reference = load_reference(backbone.spec)
    groups, parts = [], []
    for domain in manifest.domains:
        own_train, own_test = _rows(train_list, domain), _rows(test_list, domain)
        statistics = None
        if len(own_train):
            statistics = image_statistics(backbone, train_pixels[_spread(own_train)])
            parts.append((float(len(own_train)), statistics))
        own_both = None if both is None else both[own_test]
        groups.append(
            _group(domain, len(own_train), right[own_test], own_both, statistics, reference)
        )
    whole = _group("all", len(train_list), right, both, pooled(parts), reference)
    return Probe(
        manifest.dataset,
        len(manifest.classes),
        float(np.mean(right)),
        linear_probe(train, train_labels, test, labels),
        whole,
        tuple(groups),
        reference,
        None if manifest.capture else _foreign(train_pixels, backbone),
    )


def _foreign(pixels: NDArray[np.uint8], backbone: Backbone) -> str | None:
    domain = domain_of(backbone.spec)
    return None if domain is None else foreign_to(pixels[_spread(np.arange(len(pixels)))], domain)


def linear_probe(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    *,
    inverse_penalty: float = 10.0,
) -> float:
    """Return the test accuracy of a logistic regression, a fraction.

    Parameters
    ----------
    train, test : ndarray of shape [N, e]
        L2-normalised features.
    train_labels, test_labels : ndarray of shape [N]
    inverse_penalty : float
        C of scikit-learn's LogisticRegression; features of unit norm need a weak penalty.
    """
    from sklearn.linear_model import LogisticRegression

    # Unit-norm features vary little; scaling lets the solver converge in few steps.
    scale = np.sqrt(train.shape[1])
    model = LogisticRegression(C=inverse_penalty, max_iter=500)
    model.fit(train * scale, train_labels)
    return float(model.score(test * scale, test_labels))


def _require_both_splits(manifest: Manifest) -> None:
    trained = manifest.by_class(split="train")
    if len(trained) < 2:
        raise DataError(
            "training images of fewer than two classes",
            where=manifest.dataset,
            value=len(trained),
            hint="a probe needs a training split: probe another dataset",
        )
    if not manifest.by_class(split="test"):
        raise DataError(
            "no test images",
            where=manifest.dataset,
            hint="a probe needs a test split: probe another dataset",
        )


def _load(
    manifest: Manifest, backbone: Backbone, split: Split
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[Image]]:
    images = [image for image in manifest.images if image.split == split]
    source = ImageSource({manifest.dataset: manifest}, backbone.spec.vision.image_size, split)
    ids = [image.id for image in images]
    pixels, _ = source(manifest.dataset, ids, manifest.classes)
    return pixels, manifest.labels(ids, manifest.classes), images


def _features(backbone: Backbone, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    starts = range(0, len(pixels), _BATCH)
    batches = (backbone.normalise(pixels[start : start + _BATCH]) for start in starts)
    features: NDArray[np.float32] = backbone.frozen_features(batches).cpu().numpy()
    return features


def _rows(images: Sequence[Image], domain: str) -> NDArray[np.intp]:
    return np.flatnonzero(np.array([image.domain == domain for image in images], dtype=bool))


def _spread(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return at most `SAMPLE` rows, evenly spaced; a manifest is in label order."""
    if len(rows) <= SAMPLE:
        return rows
    return rows[np.arange(SAMPLE) * len(rows) // SAMPLE]


def _both_texts_right(
    manifest: Manifest,
    backbone: Backbone,
    folder: Path | None,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    images: Sequence[Image],
) -> NDArray[np.bool_] | None:
    """Return whether template and attribute sentences together classify each image correctly."""
    if folder is None or not (folder / f"{manifest.dataset}.json").is_file():
        return None
    # With default parameters: sentences have half the template's weight.
    method = build_method(_COMBINED, backbone, method_params(_COMBINED, {}), seed=0)
    assert isinstance(method, PromptedTextMethod)
    banks = TextBanks(backbone, folder, {manifest.dataset: manifest})
    right = np.zeros(len(images), dtype=np.bool_)
    for domain in manifest.domains:
        rows = _rows(images, domain)
        classes = banks.select(manifest.dataset, domain, manifest.classes)
        own = torch.from_numpy(features[rows]).to(backbone.device)
        right[rows] = method.scores(own, classes).argmax(dim=1).cpu().numpy() == labels[rows]
    return right


def _group(
    name: str,
    train_images: int,
    right: NDArray[np.bool_],
    both: NDArray[np.bool_] | None,
    statistics: ImageStatistics | None,
    reference: Reference,
) -> Group:
    shift = pixel_shift = None
    if statistics is not None:
        pixel_shift = distance(statistics.pixels, reference.pixels)
        if reference.patches is not None:
            shift = distance(statistics.patches, reference.patches)
    return Group(
        name,
        train_images,
        len(right),
        float(np.mean(right)) if len(right) else None,
        float(np.mean(both)) if both is not None and len(both) else None,
        statistics,
        shift,
        pixel_shift,
    )
