"""Check a dataset on this machine against its catalog entry, image by image."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fedmvp.data.build import build_manifest
from fedmvp.data.decode import decode_image
from fedmvp.data.manifest import Manifest, load_manifest
from fedmvp.data.paths import manifest_path
from fedmvp.data.readers.found import Found
from fedmvp.data.readers.layout import locate, read_layout
from fedmvp.data.sources import ensure_raw, verify_shipped
from fedmvp.data.spec import DatasetSpec
from fedmvp.errors import DataError
from fedmvp.files import sha256_file

__all__ = ["DatasetReport", "verify_dataset"]

_SIZE_PX = 32  # decoding reads the whole file whatever the size


@dataclass
class DatasetReport:
    """What was found.

    Parameters
    ----------
    problems : list of str
        What makes the dataset unusable or its results wrong.
    notes : list of str
        What is worth knowing and no fault.
    """

    dataset: str
    classes: int
    domains: int
    images: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def verify_dataset(
    spec: DatasetSpec, split_seed: int, progress: Callable[[int, int], None]
) -> DatasetReport:
    """Check archives, layout, counts, every image, and the splits.

    Parameters
    ----------
    progress : callable
        Told images decoded and their number.
    """
    report = DatasetReport(spec.name, len(spec.classes), len(spec.domain_names))
    try:
        verify_shipped(spec)
        located = locate(spec, ensure_raw(spec))
        found = read_layout(spec, located)
    except DataError as error:
        report.problems.append(str(error))
        return report
    report.images = len(found)
    hashes = _decode_all(found, located.base, report, progress)
    try:
        manifest = build_manifest(spec, split_seed)
    except DataError as error:
        report.problems.append(str(error))
        return report
    report.splits = dict(sorted(Counter(image.split for image in manifest.images).items()))
    report.problems += _split_problems(manifest)
    report.notes += _shared_files(manifest, hashes)
    _compare_with_stage(manifest, report)
    return report


def _decode_all(
    found: list[Found], root: Path, report: DatasetReport, progress: Callable[[int, int], None]
) -> dict[str, str]:
    """Decode every image, noting those that fail; return the hash of each file by path."""

    def check(image: Found) -> tuple[str, str | None]:
        path = root / image.path
        try:
            decode_image(path, _SIZE_PX)
            return sha256_file(path), None
        except DataError as error:
            return "", str(error)

    hashes: dict[str, str] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, (image, result) in enumerate(
            zip(found, pool.map(check, found), strict=True), start=1
        ):
            digest, problem = result
            if problem is None:
                hashes[image.path] = digest
            else:
                report.problems.append(problem)
            progress(done, len(found))
    return hashes


def _split_problems(manifest: Manifest) -> Iterator[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for image in manifest.images:
        splits[image.id].add(image.split)
    for image_id, names in splits.items():
        if len(names) > 1:
            yield f"{image_id}: is in splits {', '.join(sorted(names))}"
    for split in ("train", "test"):
        seen = {image.label for image in manifest.images if image.split == split}
        # A dataset may have no train images at all: some are made for testing only.
        for label, name in enumerate(manifest.classes if seen else ()):
            if label not in seen:
                yield f"{manifest.dataset}: class {name!r} has no {split} image"


def _shared_files(manifest: Manifest, hashes: dict[str, str]) -> Iterator[str]:
    """Tell of files with the same bytes in train and test: leakage no split rule can see."""
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
            report.problems.append(f"{path}: differs from the images; mend: `dvc repro download`")
    except DataError as error:
        report.problems.append(str(error))
