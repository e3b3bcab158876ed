"""The Dockerfile names files that are there, and a command that can be given."""

from __future__ import annotations

import json
import re

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
