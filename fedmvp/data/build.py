"""Make a dataset's manifest from what is on disk: fetch, read the layout, split, check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedmvp.catalog.cameras import Camera
from fedmvp.catalog.layouts import FractionsRule
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.capture import CAPTURE_VERSION
from fedmvp.data.label_sets import label_matrix, rarest_labels
from fedmvp.data.manifest import Image, Manifest, SplitOrigin
from fedmvp.data.readers.image_files import ImageFile, hint
from fedmvp.data.readers.layout import ResolvedLayout, locate, other_files, read_layout
from fedmvp.data.sources import SUBSET, ensure_raw, shipped_checksums, verify_shipped
from fedmvp.data.splits import Split, assign_splits, cut_trainval, find_split_file, read_split_file
from fedmvp.errors import ConfigError, DataError
from fedmvp.files import sha256_json

__all__ = ["build_manifest", "cameras_at", "count_mismatches"]


def build_manifest(spec: DatasetSpec, split_seed: int, capture: float = 0.0) -> Manifest:
    """List a dataset's images, fetching them first where needed.

    Parameters
    ----------
    capture : float
        Severity of the entry's cameras (``data.capture``); 0 leaves images as they are.

    Raises
    ------
    ConfigError
        See `cameras_at`.
    SourceError
        When the images cannot be fetched, or an archive of the repository is damaged.
    DataError
        When the files on disk are not what the catalog declares, or include no test image.
    """
    cameras = cameras_at(spec, capture)
    verify_shipped(spec)
    root = ensure_raw(spec)
    located = locate(spec, root)
    split_file = find_split_file(spec, root, located)
    found = (
        read_layout(spec, located)
        if split_file is None
        else read_split_file(spec, located, split_file)
    )
    _check_paths(found, root)
    order = {domain: i for i, domain in enumerate(spec.domain_names)}
    single = spec.task == "single"
    found.sort(key=lambda f: (f.label if single else 0, order[f.domain], f.path))
    splits, origin = _split(spec, found, located, split_file, split_seed)
    images = tuple(
        Image(f"{spec.name}/{f.path}", f.path, f.labels, f.domain, split, f.ignored)
        for f, split in zip(found, splits, strict=True)
    )
    manifest = Manifest(
        dataset=spec.name,
        title=spec.title,
        template=spec.template,
        sentence=spec.sentence,
        split=origin,
        subset=(root / SUBSET).is_file(),
        classes=spec.class_names,
        domains=spec.domain_names,
        images=images,
        content=_content(spec, found, cameras),
        capture=cameras,
        groups=spec.class_groups,
        task=spec.task,
        unseen=spec.unseen,
    )
    for key, declared, actual in count_mismatches(spec, manifest):
        if not manifest.subset and not spec.is_unverified(f"counts.{key}"):
            raise DataError(
                f"number of images ({key}) is not the declared {declared}",
                where=root,
                value=actual,
                hint=f"{hint(spec, root)}; if a part is wanted,"
                f" create an empty file {SUBSET} in it",
            )
    if not any(image.split == "test" for image in images):
        reasons = other_files(spec, located)
        raise DataError(
            "no image to test on",
            where=located.base,
            value=f"{len(images)} images, {origin.kind} split",
            hint=reasons[0] if reasons else "give every class more images, or a part for testing",
        )
    return manifest


def _check_paths(found: Sequence[ImageFile], root: Path) -> None:
    """Refuse paths that leave the folder (lists are not trusted) or cannot be printed."""
    for image in found:
        inside = not image.path.startswith("/") and ".." not in image.path.split("/")
        if not inside or not image.path.isprintable():
            raise DataError(
                "image's path leaves the folder or is not printable text",
                where=root,
                value=image.path,
                hint="rename the file",
            )


def count_mismatches(spec: DatasetSpec, manifest: Manifest) -> list[tuple[str, int, int]]:
    """Return key, declared and actual number of each count that is not as declared."""
    counts, splits = spec.counts, Counter(image.split for image in manifest.images)
    domains = Counter(image.domain for image in manifest.images)
    tested = [image for image in manifest.images if image.split == "test"]
    positives = Counter(manifest.classes[label] for image in tested for label in image.labels)
    rows = [
        ("images", counts.images, len(manifest.images)),
        ("train", counts.train, splits["train"]),
        ("val", counts.val, splits["val"]),
        ("test", counts.test, splits["test"]),
        *((f"domains.{name}", count, domains[name]) for name, count in counts.domains.items()),
        *(
            (f"test_positives.{n}", count, positives[n])
            for n, count in counts.test_positives.items()
        ),
    ]
    return [
        (key, declared, actual)
        for key, declared, actual in rows
        if declared is not None and actual != declared
    ]


def _split(
    spec: DatasetSpec,
    found: Sequence[ImageFile],
    located: ResolvedLayout,
    file: Path | None,
    seed: int,
) -> tuple[list[Split], SplitOrigin]:
    """Return the split of each image and where it comes from."""
    rule, names = spec.split, _strata(spec, found)
    if file is not None:
        parts = [image.part for image in found]
        splits: list[Split] = [p for p in parts if p is not None and p != "trainval"]
        return splits, SplitOrigin("file", f"split file {file.name}")
    if isinstance(rule, FractionsRule):
        groups = [(name, image.domain) for name, image in zip(names, found, strict=True)]
        within = rule.within.replace("_", " ")
        detail = f"drawn: {rule.train:.0%} train, {rule.val:.0%} val per {within}, seed {seed}"
        return assign_splits(spec.name, groups, rule, seed), SplitOrigin("generated", detail)
    parts_given = [image.part for image in found if image.part is not None]
    if len(parts_given) != len(found):
        raise DataError(
            "layout does not separate train and test images",
            where=located.base,
            hint="give the catalog entry a split by fractions",
        )
    detail = "official lists"
    if spec.task == "multi":  # validation images are the clients' own (partition.validation)
        parts_given = ["train" if part == "trainval" else part for part in parts_given]
    if "trainval" in parts_given:
        detail += f"; {rule.val:.0%} of each class's trainval images drawn as val, seed {seed}"
    return cut_trainval(spec.name, names, parts_given, rule, seed), SplitOrigin("official", detail)


def _strata(spec: DatasetSpec, found: Sequence[ImageFile]) -> list[str]:
    """Return the stratum of each image: its class, or the rarest class it shows."""
    if spec.task == "single":
        return [spec.class_names[image.label] for image in found]
    count = len(spec.classes)
    rarest = rarest_labels(label_matrix(found, range(count), count))
    return [(*spec.class_names, "")[label] for label in rarest]


def cameras_at(
    spec: DatasetSpec, severity: float, where: str = "params.yaml: data.capture"
) -> dict[str, Camera]:
    """Return the entry's cameras by domain at a severity; none at 0.

    Parameters
    ----------
    where : str
        Where the severity was given, for the message.

    Raises
    ------
    ConfigError
        When the severity is negative, or a camera has no such severity: its exposure would be 0 or
        below, or another value beyond its range.
    """
    if not severity >= 0:  # true for NaN, too
        raise ConfigError(
            "not a severity",
            where=where,
            value=severity,
            hint="use 0, which changes nothing, or more",
        )
    if severity == 0:
        return {}
    cameras = {}
    for domain, camera in spec.capture.items():
        try:
            cameras[domain] = camera.at(severity)
        except ValueError:
            raise ConfigError(
                f"too severe for the camera of {domain!r} in the catalog entry of {spec.name}",
                where=where,
                value=severity,
                hint="lower it: 1 is the camera as the entry describes it",
            ) from None
    return cameras


def _content(spec: DatasetSpec, found: Sequence[ImageFile], cameras: Mapping[str, Camera]) -> str:
    files = [[f.path, f.size_bytes] for f in found]
    content: dict[str, object] = {"files": files, "sources": shipped_checksums(spec)}
    if cameras:
        by_domain = {domain: camera.model_dump(mode="json") for domain, camera in cameras.items()}
        # A path does not determine an image's domain and camera: an entry may rename folders.
        domains = [f.domain for f in found]
        content["capture"] = {
            "version": CAPTURE_VERSION,
            "cameras": by_domain,
            "domains": domains,
        }
    return sha256_json(content)
