"""NUS-WIDE's lists (images, and flags for each concept), and the table of a part used by ASL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from fedmvp.catalog.layouts import NusWideLists, NusWideTable, Part
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.csv_files import read_csv
from fedmvp.data.readers.image_files import ImageFile, hint, listed_image, missing, read_lines
from fedmvp.errors import DataError

__all__ = ["nus_wide_lists", "nus_wide_table"]

_PARTS: tuple[tuple[Part, str], ...] = (("train", "Train"), ("test", "Test"))
_TABLE = "nus_wid_data.csv"


def nus_wide_lists(spec: DatasetSpec, layout: NusWideLists, base: Path) -> Iterator[ImageFile]:
    r"""Read ``ImageList/{Train,Test}Imagelist.txt`` and ``TrainTestLabels/Labels_<concept>_….txt``.

    A line of the first is ``actor\0001_2124494179.jpg``; the others have 0 or 1, in the same order.

    Raises
    ------
    DataError
        When a list is missing or its length differs from the images', or a flag is not 0 or 1.
    """
    folder = next((f for f in layout.images if (base / f).is_dir()), layout.images[0])
    for part, name in _PARTS:
        files = read_lines(spec, base / "ImageList" / f"{name}Imagelist.txt")
        shown: list[list[int]] = [[] for _ in files]
        for label, entry in enumerate(spec.classes):
            path = base / "TrainTestLabels" / f"Labels_{entry.folder}_{name}.txt"
            flags = read_lines(spec, path)
            if len(flags) != len(files):
                raise DataError(
                    "list of a concept does not have a line for each image",
                    where=path,
                    value=f"{len(flags)} lines, {len(files)} images",
                    hint=hint(spec, path),
                )
            for place, flag in enumerate(flags):
                if flag == "1":
                    shown[place].append(label)
                elif flag != "0":
                    raise DataError(
                        "a label is not 0 or 1",
                        where=path,
                        value=f"line {place + 1}: {flag}",
                        hint=hint(spec, path),
                    )
        for file, labels in zip(files, shown, strict=True):
            if labels or layout.population == "all":
                relative = PureWindowsPath(file).as_posix()
                yield listed_image(spec, base, f"{folder}/{relative}", tuple(labels), part)


def nus_wide_table(spec: DatasetSpec, layout: NusWideTable, base: Path) -> Iterator[ImageFile]:
    """Read ``nus_wid_data.csv``, the part of the images that ASL's authors use.

    Columns ``filename``, ``label`` (``['clouds', 'sky']``) and ``split`` (train or val; val is the
    test part). Images are in ``images``.

    Raises
    ------
    DataError
        When the table is missing, lacks a column, or names an unknown part or class.
    """
    path = base / _TABLE
    if not path.is_file():
        raise missing(spec, path, "table")
    label_of = {entry.folder: label for label, entry in enumerate(spec.classes)}
    part_of: dict[str, Part] = {"train": "train", "val": "test"}
    for number, row in enumerate(read_csv(path), start=2):
        where = f"row {number}"
        if not {"filename", "label", "split"} <= row.keys():
            raise DataError(
                "columns are not filename, label and split",
                where=path,
                value=", ".join(row),
                hint=hint(spec, path),
            )
        names = [name.strip(" '\"") for name in row["label"].strip("[]").split(",")]
        strays = [name for name in names if name and name not in label_of]
        if strays or row["split"] not in part_of:
            raise DataError(
                "table names an unknown class or part",
                where=path,
                value=f"{where}: {[*strays, row['split']][0]}",
                hint=hint(spec, path),
            )
        labels = tuple(sorted({label_of[name] for name in names if name}))
        file = PureWindowsPath(row["filename"]).as_posix().removeprefix("images/")
        yield listed_image(spec, base, f"images/{file}", labels, part_of[row["split"]])
