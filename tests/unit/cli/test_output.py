"""What commands print: names are shown, never obeyed by a terminal."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from fedmvp.cli.output import print_json, print_table, say
from tests.paths import ROOT

#: A file name that clears the screen, begins a line of its own, writes backwards, and is no text.
HOSTILE = "a\x1b[2J\nok: all is well\u202egnp.\x9b31m\udcff"


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"file {HOSTILE}", "naïve 象 …")
    say(HOSTILE, err=True)
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first == r"file a\x1b[2J\nok: all is well\u202egnp.\x9b31m\udcff"
    assert second == "naïve 象 …"
    assert err.rstrip("\n").isprintable()


def test_tables_keep_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n"), [(HOSTILE, 1), ("b", 22)])
    header, first, second = capsys.readouterr().out.splitlines()
    assert first.isprintable()
    assert len(header) == len(first) == len(second)


def test_json_is_the_same_value(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({HOSTILE: ["象", "\x7f"]})
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {HOSTILE: ["象", "\x7f"]}
    assert "象" in out


def test_every_command_prints_through_here() -> None:
    places = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "fedmvp/cli").glob("*.py"))
        if path.name not in ("output.py", "commands.py", "__init__.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.echo", "print")
    ]
    assert not places, f"{places}: print with fedmvp.cli.output.say"


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_images_of_any_name_can_be_classified(
    tower: object, run: object, tmp_path: Path, how: tuple[str, ...]
) -> None:
    name = HOSTILE.replace("/", "") + ".png"
    (tmp_path / name).write_bytes((tmp_path / "image0.png").read_bytes())
    result = run("predict", name, "--dataset", "toys", "--method", "zero_shot", *how)  # type: ignore[operator]
    assert result.stdout.replace("\n", "").isprintable()
    if how:
        assert json.loads(result.stdout)[0]["image"] == name
