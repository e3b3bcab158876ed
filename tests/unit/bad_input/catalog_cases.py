"""Catalog entries and their cameras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.bad_input.cases import Case
from tests.unit.bad_input.world import World

__all__ = ["CASES"]

DOWNLOAD = ("download", "toys")
SHOW = ("datasets", "show", "toys", "--out", "sheet.png")
CLASSES = ["red_fox", "teapot", "snow owl", "kite"]


def catalog(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of wrong catalog entries."""
    return Case(name, lambda w: w.catalog(**entries), DOWNLOAD, ("toys.yaml: ", *tells))


def camera(name: str, *tells: str, **entries: Any) -> Case:
    """Return a case of a wrong camera of one domain."""
    return catalog(name, *tells, capture={"sketch": entries})


def severe(severity: float) -> Callable[[World], object]:
    """Return a change: a camera whose exposure is 0 at severity 2, and params' severity."""

    def change(w: World) -> None:
        w.catalog(capture={"sketch": {"exposure": 0.5}})
        w.params(data__capture=severity)

    return change


def named(first: object) -> list[object]:
    """Return the classes with another first one."""
    return [first, *CLASSES[1:]]


CASES = [
    catalog("a class twice", "class 'teapot' is listed twice", classes=named("teapot")),
    catalog(
        "a class folder above",
        "relative path without '..'",
        classes=named({"name": "fox", "folder": ".."}),
    ),
    catalog(
        "a class name of 10,000 characters",
        "at most 1000 characters",
        "…",
        classes=named({"name": "x" * 10_000, "folder": "red_fox"}),
    ),
    catalog(
        "a class name of two lines",
        "printable text of one line",
        classes=named({"name": "red\nfox", "folder": "red_fox"}),
    ),
    catalog(
        "a class name of nothing",
        "at least 1 character",
        classes=named({"name": "", "folder": "red_fox"}),
    ),
    catalog(
        "a class name that is a number",
        "classes.0.name: ",
        "got 7",
        classes=named({"name": 7, "folder": "red_fox"}),
    ),
    catalog(
        "a raw folder above", "relative path without '..'", "got '../../etc'", folder="../../etc"
    ),
    catalog("a template without a place", "template must contain {} once", template="a photo"),
    catalog(
        "no test images",
        "train + val must be below 1",
        split={"rule": "fractions", "train": 0.9, "val": 0.1},
    ),
    catalog("an unknown reader", "'tarballs'", layout={"reader": "tarballs"}),
    catalog(
        "a source of another kind", "sources.0: ", "'ftp'", sources=[{"kind": "ftp", "files": []}]
    ),
    catalog(
        "a source without a checksum",
        "sha256 or md5",
        sources=[{"kind": "embedded", "files": [{"path": "x.zip"}]}],
    ),
    camera(
        "a misspelt key of a camera",
        "capture.sketch.focus: unknown key; got 2",
        "blur, cast",
        focus=2,
    ),
    camera(
        "a camera in the dark", "capture.sketch.exposure: ", "greater than 0; got 0", exposure=0
    ),
    camera("a negative noise", "capture.sketch.noise: ", "got -0.1", noise=-0.1),
    camera("a noise in words", "capture.sketch.noise: ", "got 'much'", noise="much"),
    camera("a noise that is true", "noise is true instead of a number", noise=True),
    camera("a cast of two values", "capture.sketch.cast.2: key is missing", cast=[1, 0.9]),
    camera("a cast of black", "capture.sketch.cast.1: ", "got 0", cast=[1, 0, 1]),
    camera(
        "a spread of all",
        "capture.sketch.exposure_spread: ",
        "less than 1; got 1",
        exposure_spread=1,
    ),
    catalog(
        "a camera without a domain",
        "'oil' is not one of the domains",
        capture={"oil": {"noise": 0.1}},
    ),
    catalog("a camera that is a number", "capture.sketch: ", "got 0.5", capture={"sketch": 0.5}),
    catalog("cameras in a list", "capture: ", "got [0.5]", capture=[0.5]),
    Case(
        "a severity that is too much",
        severe(2),
        DOWNLOAD,
        ("params.yaml: data.capture: too severe for the camera of 'sketch'", "got 2.0", "lower it"),
    ),
    Case(
        "a severity to show that is too much",
        severe(0),
        (*SHOW, "--severity", "2"),
        ("--severity: too severe for the camera of 'sketch'", "got 2.0", "lower it"),
    ),
    Case(
        "a negative severity to show",
        severe(0),
        (*SHOW, "--severity", "-1"),
        ("--severity: not a severity; got -1.0",),
    ),
    Case(
        "a severity without cameras",
        lambda w: None,
        (*SHOW, "--severity", "1"),
        ("--severity: the catalog entry of toys declares no cameras; got 1.0", "capture"),
    ),
]
