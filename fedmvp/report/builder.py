"""From results to the report folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedmvp.data.manifest import Manifest
from fedmvp.files import write_text
from fedmvp.report.attention import ImageLoader
from fedmvp.report.class_scores import class_scores
from fedmvp.report.comparisons import compare
from fedmvp.report.page import render
from fedmvp.report.pictures import ContactSheet
from fedmvp.report.study import Subject, load_study
from fedmvp.report.tables import write_tables

__all__ = ["build"]


def build(
    results_dir: Path,
    partitions_dir: Path,
    out_dir: Path,
    subject: Subject,
    *,
    settings: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    load_image: ImageLoader | None = None,
    sheet: ContactSheet | None = None,
    manifests: Mapping[str, Manifest] | None = None,
) -> None:
    """Write ``index.html``, ``metrics.json``, ``tables/*.csv`` and ``plots/*.csv``.

    Equal input gives equal bytes: they contain no time, host or absolute path. Nothing is
    written before everything has been read and rendered.

    Parameters
    ----------
    results_dir : Path
        Folder with ``<setting>/<method>/seed<k>/``.
    partitions_dir : Path
        Folder with ``<setting>.json``.
    subject : Subject
        Profile, title, suite and backbone.
    settings, methods, seeds : sequence, optional
        What to report, in this order; by default everything that is found. The page names
        combinations without results.
    load_image : callable, optional
        ``load_image(dataset, image_id)`` returns a PIL image, or PNG or JPEG bytes, square as the
        model saw it. Without it the attention maps are left out.
    sheet : ContactSheet, optional
        Example images as the sites see them, shown below the results of the settings.
    manifests : mapping of str to Manifest, optional
        Manifests of all datasets; with them, the clients' images are drawn by class.

    Raises
    ------
    DataError
        When there are no results, or a file is missing or not as declared.
    """
    study = load_study(
        results_dir, partitions_dir, subject, settings=settings, methods=methods, seeds=seeds
    )
    comparisons = compare(study, results_dir)
    classes = {setting: class_scores(study, setting, results_dir) for setting in study.scores}
    page = render(study, comparisons, results_dir, load_image, sheet, manifests, classes)
    write_tables(study, comparisons, out_dir, classes)
    write_text(out_dir / "index.html", page)
