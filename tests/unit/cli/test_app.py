"""The command line as a whole: quick to start, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import fedmvp
from fedmvp.cli import app
from fedmvp.cli.commands import Commands
from fedmvp.errors import ConfigError
from tests.paths import ROOT
from tests.unit.cli.conftest import Run

COMMANDS = (
    "doctor",
    "settings",
    "methods",
    "predict",
    "import-official",
    "profile",
    "datasets",
    "attributes",
    "track",
)
HEAVY = ("torch", "mlflow", "open_clip", "sklearn", "pydantic", "rich", "numpy", "PIL", "yaml")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom fedmvp.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "print('loaded:', loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded: []\n")
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Run, name: str) -> None:
    assert "Usage: " in run(name, "--help").stdout


def test_summaries_are_not_cut(run: Run) -> None:
    own = [name for name in COMMANDS if name != "attributes"]
    lines = {line.split()[0]: line for line in run("--help").stdout.splitlines() if line.strip()}
    assert not [name for name in own if lines[name].endswith("...")]


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"fedmvp {fedmvp.__version__}\n"


def test_unknown_words_are_usage_errors(run: Run) -> None:
    assert "No such command" in run("predct", code=2).stderr
    assert "No such option" in run("doctor", "--jsn", code=2).stderr


@pytest.fixture
def failing() -> typer.Typer:
    own = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @own.callback()
    def main(debug: bool = typer.Option(False, "--debug")) -> None:
        pass

    @own.command()
    def config() -> None:
        raise ConfigError("unknown key", where="params.yaml: run", value="x\ny", hint="remove it")

    @own.command()
    def missing() -> None:
        Path("absent/file").read_bytes()

    @own.command()
    def bug() -> None:
        raise ZeroDivisionError

    @own.command()
    def words(words: list[str]) -> None:
        typer.echo(",".join(words))

    return own


def test_errors_are_one_line_with_a_hint(failing: typer.Typer) -> None:
    result = CliRunner().invoke(failing, ["config"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == ("error: params.yaml: run: unknown key; got 'x\\ny'; hint: remove it\n")
    result = CliRunner().invoke(failing, ["missing"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: absent/file: No such file or directory; hint: ")


@pytest.mark.parametrize("words", [["--debug", "config"], ["config", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    failing: typer.Typer, words: list[str]
) -> None:
    result = CliRunner().invoke(failing, words)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: params.yaml")


def test_words_behind_two_dashes_are_left_alone(failing: typer.Typer) -> None:
    result = CliRunner().invoke(failing, ["words", "--", "a", "--debug"])
    assert result.stdout == "a,--debug\n"


def test_bugs_are_not_dressed_up(failing: typer.Typer) -> None:
    result = CliRunner().invoke(failing, ["bug"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_the_entry_point_is_the_app() -> None:
    assert isinstance(app, typer.Typer)
    assert 'fedmvp = "fedmvp.cli:app"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    def ask(line: str) -> str:
        words = line.split(" ")
        asked = {
            "_FEDMVP_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        return CliRunner().invoke(app, [], prog_name="fedmvp", env=asked).output

    assert "track" in ask("fedmvp tr")
    assert "profile" not in ask("fedmvp tr")
    assert "--store" in ask("fedmvp track sync --s")


def test_the_completion_script_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    # Typer asks which shell it was started from; under make that is none it knows.
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("bash", "/bin/bash"))
    shown = CliRunner().invoke(app, ["--show-completion"], prog_name="fedmvp")
    assert "_FEDMVP_COMPLETE=complete_bash" in shown.output
