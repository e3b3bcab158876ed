"""The Dockerfile names files that are there, and a command that can be given."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from typer.main import get_command

from fedmvp.cli import app
from tests.paths import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", TEXT, re.M) for name in line.split()]
    assert "fedmvp" in copied
    for name in copied:
        assert f"!{name}" in kept
        assert name == "exported" or (ROOT / name).exists()


def test_the_command_can_be_given() -> None:
    (words,) = re.findall(r"^CMD (.*)$", TEXT, re.M)
    program, name, *rest = json.loads(words)
    assert program == "fedmvp"
    serve = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    assert serve.make_context(name, rest).params["host"] == "0.0.0.0"  # noqa: S104  (the container's own network)


def test_who_serves_is_nobody_in_particular() -> None:
    assert TEXT.index("USER fedmvp") < TEXT.index("CMD [")


def test_what_is_installed_is_what_the_pipeline_has_been_tested_with() -> None:
    """The group is locked on its own, so its versions could differ from those tested."""
    every, few = (_pins(name) for name in ("requirements.txt", "requirements-serve.txt"))
    assert few.items() <= every.items()
    assert {"torch", "uvicorn", "hatchling"} <= few.keys()
    # What this saves; and pip would insist on it without --no-deps.
    assert "triton" not in few
    assert "--no-deps --require-hashes --requirement requirements-serve.txt" in TEXT


@pytest.mark.slow
def test_serve_imports_nothing_that_is_not_installed() -> None:
    """In a process whose imports are confined to the packages of the image."""
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, *_pins("requirements-serve.txt")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


CONFINED = """
import importlib.metadata, re, sys

kept = set(sys.argv[1:])
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
there = importlib.metadata.packages_distributions()
missing = {
    name for name, of in there.items() if name != "fedmvp" and not kept & set(map(plain, of))
}
assert {"dvc", "mlflow", "triton"} <= missing, sorted(missing)


class Refuse:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"not in the image: {name}", name=name)


sys.meta_path.insert(0, Refuse)
import fedmvp.cli
import fedmvp.prediction.images, fedmvp.prediction.served, fedmvp.service.server
"""


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.M))
