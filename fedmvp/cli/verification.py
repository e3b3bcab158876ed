"""Check a dataset on this machine against its catalog entry, image by image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fedmvp.catalog.spec import DatasetSpec
from fedmvp.config import DataParams
from fedmvp.data.build import build_manifest, count_mismatches
from fedmvp.data.check import of_each
from fedmvp.data.decode import decode_image
from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.manifest_files import load_manifest
from fedmvp.data.marker import read_marker
from fedmvp.data.readers.layout import locate, other_files
from fedmvp.data.scene_recipes import is_scene, scene_hash
from fedmvp.data.sources import SUBSET, ensure_raw
from fedmvp.errors import DataError
from fedmvp.files import sha256_file
from fedmvp.paths import manifest_path

__all__ = ["DatasetReport", "verify_dataset"]

_SIZE_PX = 32  # any size will do: decoding reads the whole file


@dataclass
class DatasetReport:
    """What was found.

    Parameters
    ----------
    split : str
        Where the split comes from.
    subset : bool
        Whether only a part of the dataset is used, on purpose.
    unverified : list of str
        Facts of the catalog entry that nobody has confirmed, with what was found.
    problems : list of str
        What makes the dataset unusable or its results wrong.
    notes : list of str
        What is worth knowing but not a problem.
    """

    dataset: str
    classes: int
    domains: int
    images: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    split: str = ""
    subset: bool = False
    unverified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def verify_dataset(
    spec: DatasetSpec, data: DataParams, progress: Callable[[int, int], None]
) -> DatasetReport:
    """Check archives, layout, counts, every image, and the splits.

    Parameters
    ----------
    data : DataParams
        Seed of the split and severity of the cameras: the stage's manifest must be the same.
    progress : callable
        Called with the images decoded so far and their number.
    """
    report = DatasetReport(spec.name, len(spec.classes), len(spec.domain_names))
    report.notes += spec.notes
    try:
        manifest = build_manifest(spec, data.split_seed, data.capture)
        root = ensure_raw(spec)
        located = locate(spec, root)
    except DataError as error:
        report.problems.append(str(error))
        report.unverified += _unverified(spec, None)
        return report
    report.images = len(manifest.images)
    report.splits = dict(sorted(Counter(image.split for image in manifest.images).items()))
    report.split = f"{manifest.split.kind}: {manifest.split.detail}"
    report.subset = manifest.subset
    report.unverified += _unverified(spec, manifest)
    report.notes += _copy_notes(spec, manifest, root)
    report.notes += other_files(spec, located)
    hashes = _decode_all(manifest, located.base, report, progress)
    report.problems += _split_problems(manifest)
    report.notes += _shared_files(manifest, hashes)
    _compare_with_stage(manifest, report)
    return report


def _unverified(spec: DatasetSpec, manifest: Manifest | None) -> Iterator[str]:
    """Report every unverified fact; for counts, also whether they are right."""
    wrong = {} if manifest is None else {k: a for k, _, a in count_mismatches(spec, manifest)}
    for key in spec.unverified:
        counts = {k: a for k, a in wrong.items() if f"counts.{k}".startswith(key)}
        if not key.startswith("counts") or manifest is None:
            value = spec.fact(key)
            yield f"{key}: {value}" if isinstance(value, str | int | float) else key
        elif counts:
            yield f"{key}: differs, found {', '.join(f'{k} {a:,}' for k, a in counts.items())}"
        else:
            yield f"{key}: holds for the images found"


def _copy_notes(spec: DatasetSpec, manifest: Manifest, root: Path) -> Iterator[str]:
    """Report what is special about this copy of the data."""
    marker = read_marker(root)
    yield from () if marker is None else marker.get("notes", [])
    if manifest.subset:
        wrong = count_mismatches(spec, manifest)
        found = ", ".join(f"{key} {actual:,} of {declared:,}" for key, declared, actual in wrong)
        yield f"{SUBSET} says that this is a part of the dataset ({found or 'all of it'})"
    if spec.split_file is not None and manifest.split.kind != "file":
        yield (
            f"{spec.split_file.name} is not here, so test images are not those of published "
            f"numbers; put it into {root} to use it"
        )


def _decode_all(
    manifest: Manifest, base: Path, report: DatasetReport, progress: Callable[[int, int], None]
) -> dict[str, str]:
    """Decode every image, noting those that fail; return the hash of each file by path."""

    def check(image: Image) -> tuple[str, str | None]:
        path = base / image.path
        try:
            decode_image(path, _SIZE_PX)
            return (scene_hash(path) if is_scene(path) else sha256_file(path)), None
        except DataError as error:
            return "", str(error)

    hashes: dict[str, str] = {}
    looked = of_each(manifest.images, check)
    for done, (image, (digest, problem)) in enumerate(looked, start=1):
        if problem is None:
            hashes[image.path] = digest
        else:
            report.problems.append(problem)
        progress(done, len(manifest.images))
    return hashes


def _split_problems(manifest: Manifest) -> Iterator[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for image in manifest.images:
        splits[image.id].add(image.split)
    for image_id, names in splits.items():
        if len(names) > 1:
            yield f"{image_id}: is in splits {', '.join(sorted(names))}"
    for split in ("train", "test"):
        seen = {k for image in manifest.images if image.split == split for k in image.labels}
        # A dataset may have no train images at all: some are made for testing only.
        # Unseen classes occur only in test images.
        spared = manifest.unseen if split == "train" else ()
        for label, name in enumerate(manifest.classes if seen else ()):
            if label not in seen and name not in spared:
                yield f"{manifest.dataset}: class {name!r} has no {split} image"


def _shared_files(manifest: Manifest, hashes: dict[str, str]) -> Iterator[str]:
    """Report files with the same bytes in train and test: leakage that a split does not notice."""
    digests: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for image in manifest.images:
        if image.split in digests and image.path in hashes:
            digests[image.split].setdefault(hashes[image.path], image.path)
    shared = sorted(digests["train"].keys() & digests["test"].keys())
    if shared:
        example = f"{digests['train'][shared[0]]} and {digests['test'][shared[0]]}"
        yield f"{len(shared)} file(s) are the same in train and test, e.g. {example}"


def _compare_with_stage(manifest: Manifest, report: DatasetReport) -> None:
    path = manifest_path(manifest.dataset)
    if not path.is_file():
        report.notes.append(f"{path} is not written yet: `dvc repro download`")
        return
    try:
        if load_manifest(path) != manifest:
            report.problems.append(f"{path}: differs from the images; hint: `dvc repro download`")
    except DataError as error:
        report.problems.append(str(error))
