"""Aerial datasets whose CSV tables have a row of flags per image, read by their headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fedmvp.catalog.layouts import MlrsnetTables, MultisceneTables, Part
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.csv_files import read_rows
from fedmvp.data.readers.image_files import ImageFile, hint, listed_image, missing, same_name
from fedmvp.errors import DataError

__all__ = ["mlrsnet_tables", "multiscene_tables"]

_OWN_SHARE = 0.95
_Row = tuple[str, tuple[int, ...]]


def multiscene_tables(
    spec: DatasetSpec, layout: MultisceneTables, base: Path
) -> Iterator[ImageFile]:
    """Read ``Tra.csv`` and ``Test.csv``: the image's name without suffix, then 36 flags.

    Raises
    ------
    DataError
        See `_flagged`.
    """
    parts: tuple[tuple[Part, str], ...] = (("train", "Tra.csv"), ("test", "Test.csv"))
    for part, name in parts:
        for image, labels in _flagged(spec, base / name):
            yield listed_image(spec, base, f"images/{_with_suffix(image)}", labels, part)


def mlrsnet_tables(spec: DatasetSpec, layout: MlrsnetTables, base: Path) -> Iterator[ImageFile]:
    """Read ``labels/<category>.csv``, whose columns are not in the same order in every file.

    Two errors in public copies are detected. Some rows have more labels than any image has (13);
    `damaged` says whether these are refused or dropped. And if the columns of a file are shifted,
    the class with the name of its category is missing in its rows.

    Raises
    ------
    DataError
        For these two errors, when there is no table, and as `_flagged`.
    """
    folder = next((f for f in layout.labels if (base / f).is_dir()), layout.labels[0])
    tables = sorted((base / folder).glob("*.csv"))
    if not tables:
        raise missing(spec, base / folder, "folder of label tables")
    label_of = {same_name(entry.folder): label for label, entry in enumerate(spec.classes)}
    for path in tables:
        rows = _whole(spec, layout, path, list(_flagged(spec, path)))
        own = label_of.get(same_name(path.stem))
        share = sum(own in labels for _, labels in rows) / max(len(rows), 1)
        if own is not None and rows and share < _OWN_SHARE:
            raise DataError(
                f"class {spec.class_names[own]!r} is missing in rows of its own category",
                where=path,
                value=f"in {share:.0%} of {len(rows)} rows",
                hint="the columns of this copy are in another order than its header says: get the "
                "labels from the dataset's repository",
            )
        for image, labels in rows:
            yield listed_image(
                spec, base, f"Images/{path.stem}/{_with_suffix(image)}", labels, None
            )


def _whole(spec: DatasetSpec, layout: MlrsnetTables, path: Path, rows: list[_Row]) -> list[_Row]:
    """Return the rows with a possible number of labels."""
    damaged = [row for row in rows if len(row[1]) > layout.most_labels]
    if damaged and layout.damaged == "refuse":
        image, labels = damaged[0]
        raise DataError(
            f"{len(damaged)} rows have more than {layout.most_labels} labels",
            where=path,
            value=f"{image}: {len(labels)} labels",
            hint="write damaged: drop into the entry's layout to leave them out",
        )
    return [row for row in rows if len(row[1]) <= layout.most_labels]


def _flagged(spec: DatasetSpec, path: Path) -> Iterator[_Row]:
    """Yield each row's image and its labels.

    Raises
    ------
    DataError
        When the table is missing, a column is not a class, a class has no column or two, a row does
        not have a cell for each column, or a flag is not 0 or 1.
    """
    if not path.is_file():
        raise missing(spec, path, "table")
    rows = read_rows(path)
    header = next(rows, [])
    columns = _columns(spec, path, header[1:])
    for number, row in enumerate(rows, start=2):
        image, flags = row[0] if row else "", row[1:]
        stray = next((flag for flag in flags if flag.strip() not in ("0", "1")), None)
        if len(flags) != len(columns) or stray is not None:
            raise DataError(
                "row does not have a cell for each column"
                if stray is None
                else "a label is not 0 or 1",
                where=path,
                value=f"row {number}: {stray or f'{len(row)} cells'}",
                hint=hint(spec, path),
            )
        shown = (label for label, flag in zip(columns, flags, strict=True) if flag.strip() == "1")
        yield image, tuple(sorted(shown))


def _columns(spec: DatasetSpec, path: Path, header: list[str]) -> list[int]:
    """Return the label of each column, by its name in any spelling."""
    label_of = {same_name(entry.folder): label for label, entry in enumerate(spec.classes)}
    names = [same_name(name) for name in header]
    absent = [entry.folder for entry in spec.classes if names.count(same_name(entry.folder)) != 1]
    strays = [name for name, form in zip(header, names, strict=True) if form not in label_of]
    if absent or strays:
        raise DataError(
            "column is not a class" if strays else "class does not have exactly one column",
            where=path,
            value=(strays or absent)[0],
            hint=hint(spec, path),
        )
    return [label_of[form] for form in names]


def _with_suffix(image: str) -> str:
    return image if PurePosixPath(image).suffix else f"{image}.jpg"
