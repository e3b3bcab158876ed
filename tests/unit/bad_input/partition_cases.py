"""Manifests and partitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.bad_input.cases import Case

__all__ = ["CASES"]

DOWNLOAD = ("download", "toys")
PREDICT = ("predict", "bad.png", "--dataset", "toys")
MANIFEST = "data/manifests/toys.json"
PARTITION = "data/partitions/small.json"


def catalog(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of wrong catalog entries."""
    return Case(name, lambda w: w.catalog(**entries), DOWNLOAD, ("toys.yaml: ", *tells))


def camera(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of a wrong camera of one domain."""
    return catalog(name, *tells, capture={"sketch": entries})


def image(name: str, content: bytes, *tells: str) -> Case:
    """Return a case of a file that is not an image."""
    return Case(name, lambda w: w.write("bad.png", content), PREDICT, ("bad.png: ", *tells))


def manifest(name: str, change: Callable[[Any], object], *tells: str) -> Case:
    """Return a case of a changed manifest."""
    return Case(
        name,
        lambda w: w.edit_json(MANIFEST, change),
        ("partition", "small"),
        ("toys.json: not a valid manifest", *tells, "dvc repro download"),
    )


def cell(column: int, value: object) -> Callable[[Any], object]:
    """Return a change of one cell of the first image."""

    def change(document: Any) -> None:
        document["images"][0][column] = value

    return change


def json_text(name: str, old: str, new: str, *tells: str) -> Case:
    """Return a case of a manifest that is not strict JSON."""
    return Case(
        name,
        lambda w: w.replace(MANIFEST, old, new),
        ("partition", "small"),
        ("toys.json: not valid JSON", *tells),
    )


def partition(name: str, change: Callable[[Any], object], *tells: str) -> Case:
    """Return a case of a changed partition."""
    return Case(
        name,
        lambda w: w.edit_json(PARTITION, change),
        ("train", "small", "fedmvp", "1"),
        ("small.json: ", *tells),
    )


def put(*path: Any) -> Callable[[Any], object]:
    """Return a change of one entry: keys, then the value."""
    *keys, last, value = path

    def change(document: Any) -> None:
        for key in keys:
            document = document[key]
        document[last] = value

    return change


CASES = [
    json_text(
        "a manifest key twice",
        '"dataset": "toys"',
        '"dataset": "toys", "dataset": "toys"',
        "duplicate key 'dataset'",
    ),
    json_text("a label that is not a number", ", 0, ", ", NaN, ", "NaN is not JSON"),
    json_text("a label without bound", ", 0, ", ", 1e999, ", "1e999 is not a finite number"),
    json_text("half a character", '"teapot"', '"tea\\ud800pot"', "surrogates not allowed"),
    json_text("brackets without end", '"images": [', '"images": [' + "[" * 100_000, "recursion"),
    manifest("a manifest that is a list", lambda m: [m], "not a mapping"),
    manifest("a negative label", cell(1, -1), "label, domain or split"),
    manifest("a huge label", cell(1, 10**30), "label, domain or split"),
    manifest("a label that is true", cell(1, True), "label, domain or split"),
    manifest("an unknown split", cell(3, "exam"), "label, domain or split"),
    manifest("an image above the folder", cell(0, "../../../etc/passwd"), "leaves the dataset's"),
    manifest("an image at the root", cell(0, "/etc/passwd"), "leaves the dataset's"),
    manifest("a path that is a number", cell(0, 7), "leaves the dataset's"),
    manifest("a row without cells", lambda m: m["images"].insert(0, []), "not enough values"),
    manifest(
        "an image twice", lambda m: m["images"].append(m["images"][0]), "image is listed twice"
    ),
    manifest("classes that are numbers", put("classes", [1, 2, 3, 4]), "1 is not text"),
    manifest("a manifest's cameras in a list", put("capture", []), "capture is not a mapping"),
    manifest(
        "a manifest's camera without a domain",
        put("capture", {"oil": {}}),
        "'oil', which is not a domain",
    ),
    manifest(
        "a manifest's camera of negative noise",
        put("capture", {"sketch": {"noise": -1}}),
        "greater than or equal to 0",
    ),
    manifest(
        "a manifest's camera with another key", put("capture", {"sketch": {"focus": 1}}), "focus"
    ),
    manifest("other columns", put("columns", ["path"]), "columns are not"),
    partition("a partition of numbers", lambda p: [1], "not a partition"),
    partition(
        "a client without images", put("clients", 0, "train", []), "client is empty", "toys-000"
    ),
    partition(
        "a client id twice",
        lambda p: p["clients"].append(p["clients"][0]),
        "client id is used twice; got 'toys-000'",
    ),
    partition(
        "an image trained on and tested",
        lambda p: p["targets"][0]["images"].append(p["clients"][0]["train"][0]),
        "image is trained on and tested in one fold",
    ),
    partition(
        "a fold that leads elsewhere",
        put("clients", 0, "fold", "../../up"),
        "'../../up' is not a plain name",
    ),
    partition(
        "a dataset that leads elsewhere",
        put("clients", 0, "dataset", "../../up"),
        "'../../up' is not a plain name",
    ),
    partition("classes in one text", put("clients", 0, "classes", "red_fox"), "not a list of text"),
    partition("an unknown protocol", put("protocol", ["x"]), "protocol or split is unknown"),
]
