"""Lists of attributes: those a user gives, those a stage wrote, and class lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.bad_input.cases import Case

__all__ = ["CASES"]

COLLECT = ("attributes", "toys")
WRITTEN = "data/attributes/toys.json"
CLASS = "attributes of toys, class 'teapot'"


def lists(name: str, texts: object, *tells: str) -> Case:
    """Return a case of a wrong list of one class."""

    def change(document: Any) -> None:
        document["teapot"] = texts

    return Case(name, lambda w: w.edit_json("lists.json", change), COLLECT, (CLASS, *tells))


def text(name: str, content: str | bytes, *tells: str) -> Case:
    """Return a case of a file of lists that is none."""
    return Case(name, lambda w: w.write("lists.json", content), COLLECT, ("lists.json: ", *tells))


def written(name: str, change: Callable[[Any], object], *tells: str) -> Case:
    """Return a case of what the stage wrote, changed."""
    return Case(
        name, lambda w: w.edit_json(WRITTEN, change), ("zero_shot", "small", "zero_shot"), tells
    )


def classes(name: str, content: str | bytes, *tells: str) -> Case:
    """Return a case of a wrong class list."""
    return Case(
        name,
        lambda w: w.write("classes.txt", content),
        ("predict", "image0.png", "--classes", "classes.txt"),
        ("classes.txt: ", *tells),
    )


CASES = [
    Case(
        "a class without attributes",
        lambda w: w.edit_json("lists.json", lambda d: d.pop("teapot") and None),
        COLLECT,
        ("lists.json: class is not in the file; got 'teapot'",),
    ),
    Case(
        "no file of lists",
        lambda w: w.remove("lists.json"),
        COLLECT,
        ("lists.json: file is missing", "attributes.path"),
    ),
    text("lists that are a list", "[]", "not an object of class -> list of texts"),
    text(
        "lists with a class twice",
        '{"teapot": ["a lid"], "teapot": ["a lid"]}',
        "duplicate key 'teapot'",
    ),
    text("lists with a NaN", '{"teapot": [NaN]}', "NaN is not JSON"),
    text("lists of bytes", b"\xff\xfe\x00", "not valid JSON", "give a JSON of class -> list"),
    lists("no attribute", [], "0 attributes instead of 1 to 100"),
    lists("101 attributes", [f"mark of kind {n}" for n in range(101)], "101 attributes"),
    lists("an attribute of 10,000 characters", ["x" * 10_000], "10000 characters, more than 160"),
    lists("an attribute that rings", ["a round\x07lid"], "unprintable character U+0007"),
    lists("an attribute that turns around", ["a round \u202e lid"], "U+202E"),
    lists("an attribute without a letter", ["123"], "has no letter; got '123'"),
    lists("an attribute that is a number", [7], "not a text; got 7"),
    lists("a text for a list", "a round lid", "not a list of texts; got 'a round lid'"),
    lists(
        "an attribute that names its class", ["many teapots"], "names its own class", "reword it"
    ),
    written(
        "attributes of half the classes",
        lambda d: d["classes"].pop("kite") and None,
        "attributes of toys: class has no attributes; got 'kite'",
        "dvc repro attributes",
    ),
    written(
        "attributes without a head",
        lambda d: d.pop("model") and None,
        "toys.json: not an attributes file",
    ),
    written(
        "attributes that are numbers",
        lambda d: d["classes"].update(kite=[1]),
        "class 'kite'",
        "not a text; got 1",
    ),
    classes("an empty class list", "\n \n", "no class in the list"),
    classes("a class list with a class twice", "cat\ndog\ncat\n", "listed twice; got 'cat'"),
    classes("a class list of 10,000 characters", "x" * 10_000, "not a short printable text", "…"),
    classes("a class list of bytes", b"\xff\xfe", "class list cannot be read"),
]
