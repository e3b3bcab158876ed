"""The words on the command line, and environment variables."""

from __future__ import annotations

from tests.unit.bad_input.cases import Case

__all__ = ["CASES"]

SHOW = ("datasets", "show", "toys", "--out", "sheet.png")
ZERO_SHOT = ("predict", "image0.png", "--dataset", "toys", "--method", "zero_shot")
WEIGHTS = "results/small/fedmvp/seed1/weights.safetensors"


def words(name: str, given: tuple[str, ...], *tells: str) -> Case:
    """Return a case of wrong words."""
    return Case(name, lambda w: None, given, tells)


def variable(name: str, value: str, *tells: str) -> Case:
    """Return a case of a wrong environment variable."""
    return Case(
        f"{name}={value}",
        lambda w: None,
        ("zero_shot", "small", "zero_shot"),
        (name, repr(value), *tells),
        {name: value},
    )


CASES = [
    words(
        "an unknown method",
        ("train", "small", "fedmpv", "1"),
        "unknown method; got 'fedmpv'",
        "fedmvp",
    ),
    words(
        "a trained method for zero-shot",
        ("zero_shot", "small", "fedmvp"),
        "params.yaml: run.zero_shot",
        "needs training; got 'fedmvp'",
    ),
    words(
        "an unknown setting",
        ("partition", "smal"),
        "unknown setting; got 'smal'",
        "did you mean 'small'?",
    ),
    words(
        "an unknown dataset",
        ("download", "toy"),
        "unknown dataset; got 'toy'",
        "did you mean 'toys'?",
    ),
    words("a dataset that is a path", ("download", "../../x"), "unknown dataset; got '../../x'"),
    words(
        "too few words",
        ("train", "small", "fedmvp"),
        "command line: wrong number of arguments",
        "SETTING METHOD SEED",
    ),
    words("a seed in words", ("train", "small", "fedmvp", "one"), "not a seed; got 'one'"),
    words(
        "an unknown profile", ("profile", "use", "fast"), "unknown profile; got 'fast'", "default"
    ),
    words(
        "a folder for a sheet of images",
        ("datasets", "show", "toys", "--out", "data"),
        "data: is a folder",
        "name the file",
    ),
    words(
        "attributes of a device that never ends",
        (*ZERO_SHOT, "--attributes", "/dev/zero"),
        "/dev/zero: holds more than",
    ),
    words(
        "classes of a device that never ends",
        ("predict", "image0.png", "--method", "zero_shot", "--classes", "/dev/zero"),
        "/dev/zero: holds more than 16 MiB",
    ),
    words(
        "attention over an image",
        (*ZERO_SHOT, "--explain", "image0.png"),
        "image0.png: is read by this command",
    ),
    words(
        "attention over weights",
        ("predict", "image0.png", "--weights", WEIGHTS, "--explain", WEIGHTS),
        "weights.safetensors: is read by this command",
    ),
    words(
        "a checkpoint over itself",
        ("import-official", WEIGHTS, "--export", WEIGHTS),
        "is read by this command",
    ),
    words(
        "two files under one name",
        ("import-official", WEIGHTS, "--export", "x", "--out", "./x"),
        "--out and --export are the same file",
    ),
    words(
        "a sheet over an image",
        ("datasets", "show", "toys", "--out", ".fedmvp/data/toys/sketch/kite/0.png"),
        "is read by this command",
    ),
    words(
        "a sheet of another kind",
        ("datasets", "show", "toys", "--out", "sheet.gif"),
        "--out: not a kind of image file",
        "got 'sheet.gif'",
        ".png, .jpg, .webp",
    ),
    words("a sheet of no classes", (*SHOW, "--classes", "0"), "--classes: ", "got 0", "1 to 50"),
    words("a sheet of huge images", (*SHOW, "--size", "4096"), "--size: ", "got 4096", "8 to 256"),
    words(
        "a sheet of nobody's images",
        ("datasets", "show", "toy", "--out", "sheet.png"),
        "unknown dataset; got 'toy'",
        "did you mean 'toys'?",
    ),
    words(
        "an impossible port", ("track", "ui", "--port", "0"), "--port: no such port; got 0", "65535"
    ),
    words("a dataset nobody has", ("datasets", "verify", "x" * 10_000), "File name too long"),
    variable("FEDMVP_DEVICE", "gpu", "unknown device", "use cpu"),
    variable("FEDMVP_DEVICE", "cpu,gpu", "unknown device", "separated by commas"),
    variable("FEDMVP_THREADS", "-1", "not a number of threads"),
    variable("FEDMVP_DETERMINISM", "maybe", "unknown determinism level", "strict or fast"),
]
