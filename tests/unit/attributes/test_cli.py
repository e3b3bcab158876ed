"""``fedmvp attributes`` and the stage of the pipeline, in a folder with its own answer store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from fedmvp.attributes import store
from fedmvp.cli.attributes import app
from fedmvp.errors import FedMVPError
from tests.paths import ROOT
from tests.unit.attributes.conftest import GOOD, ChatServer, error

CATALOG = {
    "name": "things",
    "title": "Things in photos",
    "licence": "none",
    "layout": {"reader": "class_folders"},
    "template": "a photo of a {}.",
    "sentence": {"prefix": "a photo of a", "suffix": "a type of thing,"},
    "split": {"rule": "fractions", "train": 0.5},
    "classes": list(GOOD),
}
Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "things.yaml").write_text(yaml.safe_dump(CATALOG))
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "list.json").write_text(json.dumps(GOOD))
    monkeypatch.setenv("FEDMVP_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "RECORDED", tmp_path / "store")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def invoke(*arguments: str, fails: bool = False) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        assert (result.exit_code != 0) is fails, result.output
        return result

    return invoke


def test_import_show_and_stats(run: Run) -> None:
    imported = run("import", "things", "list.json", "--model", "claude")
    assert "3 classes recorded, 0 recorded before" in imported.output
    assert (
        "0 classes recorded, 3" in run("import", "things", "list.json", "--model", "claude").output
    )
    listed = run("show", "things").output
    assert listed.index("heron") < listed.index("kettle") < listed.index("rose")
    one = run("show", "things", "rose").output
    assert "a photo of a rose, a type of thing, which has thorny green stem" in one
    assert json.loads(run("show", "things", "rose", "--json").output) == {"rose": GOOD["rose"]}
    assert run("stats", "things").output.split("\n")[1].split()[:5] == [
        "things",
        "3",
        "9",
        "3",
        "3",
    ]
    assert json.loads(run("stats", "things", "--json").output)["classes"] == 3


def test_stats_of_all_datasets_of_the_params(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RECORDED", ROOT / "fedmvp" / "attributes" / "recorded")
    lines = run("stats").output.splitlines()
    assert len(lines) == 1 + 5 and "animals" in lines[1]
    assert set(json.loads(run("stats", "--json").output)) == {line.split()[0] for line in lines[1:]}


def test_live_generation(run: Run, server: ChatServer, folder: Path) -> None:
    options = ("--provider", "openai", "--model", "m", "--per-class", "3")
    priced = ("--price-in", "1", "--price-out", "10")
    dry = run("generate", "things", *options, *priced, "--dry-run").output
    assert "3 of 3 classes to ask, 3 calls, about" in dry and "USD" in dry
    assert not server.requests and not (folder / "catalog/recorded").exists()
    done = run("generate", "things", *options, *priced)
    assert "9 attributes of 3 classes" in done.output
    assert len(server.requests) == 3
    assert "0 of 3 classes to ask" in run("generate", "things", *options, "--dry-run").output
    recorded = (folder / "catalog/recorded" / "things.jsonl").read_text().splitlines()
    assert [json.loads(line)["class"] for line in recorded] == sorted(GOOD)
    assert "thorny" in run("show", "things", "rose", *options[:4]).output


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("show", "things"), "no recorded answer"),
        (("show", "thinks"), "did you mean 'things'"),
        (("stats", "things", "--provider", "nobody"), "got 'nobody'"),
        (("generate", "things", "--template", "none"), "visual-v1"),
        (("generate", "things", "--provider", "file"), "needs path"),
        (("generate", "things", "--provider", "file", "--path", "none.json"), "missing"),
        (("import", "things", "list.json", "--model", "m", "--naming", "maybe"), "naming"),
    ],
)
def test_errors_say_what_to_do(run: Run, arguments: tuple[str, ...], what: str) -> None:
    result = run(*arguments, fails=True)
    assert isinstance(result.exception, FedMVPError)
    assert what in str(result.exception) and "hint:" in str(result.exception)


def test_unknown_class_names_the_nearest(run: Run) -> None:
    run("import", "things", "list.json", "--model", "claude")
    result = run("show", "things", "ketle", fails=True)
    assert "did you mean 'kettle'" in str(result.exception)


def _stage(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.attributes", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_stage_writes_the_shipped_answers_twice_the_same(folder: Path) -> None:
    path = folder / "data" / "attributes" / "animals.json"
    first = _stage("animals", folder=folder)
    assert first.returncode == 0, first.stderr
    content = path.read_bytes()
    value = json.loads(content)
    assert value["dataset"] == "animals"
    assert (value["provider"], value["model"]) == ("recorded", "claude")
    assert next(iter(value["classes"])) == "ant" and len(value["classes"]["ant"]) == 8
    assert _stage("animals", folder=folder).returncode == 0
    assert path.read_bytes() == content
    assert str(folder) not in content.decode()


def test_stage_fails_in_one_line(folder: Path) -> None:
    result = _stage("things", folder=folder)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "3 of 3 classes" in result.stderr
    assert not (folder / "data" / "attributes" / "things.json").exists()


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_the_command_line_never_prints_the_key(
    folder: Path, server: ChatServer, debug: tuple[str, ...]
) -> None:
    canary = "sk-canary-5d1e8f"
    server.respond = lambda request, number: error(401, f"Incorrect API key provided: {canary}")
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from fedmvp.cli import app; app()",
            *debug,
            "attributes",
            "generate",
            "animals",
            "--provider",
            "openai",
            "--model",
            "m",
            "--workers",
            "1",
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OPENAI_API_KEY": canary,
            "OPENAI_LOG": "debug",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "refuses the key" in result.stderr and ("Traceback" in result.stderr) == bool(debug)
    assert server.keys == [f"Bearer {canary}"]
    assert canary not in result.stdout + result.stderr


CHINESE = "细长而弯曲的灰色脖子上有许多深浅不一的黑色纵向条纹和白色的柔软羽毛覆盖着胸部两侧"


@pytest.mark.parametrize("command", ["import", "generate"])
def test_texts_that_clip_cuts_off_are_named_or_refused(
    run: Run, folder: Path, server: ChatServer, command: str
) -> None:
    lists = {**GOOD, "rose": [CHINESE, *GOOD["rose"][1:]]}
    (folder / "list.json").write_text(json.dumps(lists))
    words = {
        "import": ("import", "things", "list.json", "--model", "other"),
        "generate": ("generate", "things", "--provider", "file", "--path", "list.json"),
    }[command]
    said = run(*words)
    assert f"class 'rose': 'a photo of a rose, a type of thing, which has {CHINESE}'" in said.output
    assert "tokens; CLIP reads 77" in said.output
    assert (
        "cut off: rose: "
        in run("stats", "things", "--provider", "file", "--path", "list.json").output
    )
    params = (folder / "params.yaml").read_text()
    assert "\nattributes:" in params
    (folder / "params.yaml").write_text(
        params.replace("\nattributes:", "\nattributes:\n  long_texts: refuse\n#", 1)
    )
    words = tuple("third" if word == "other" else word for word in words)
    refused = run(*words, fails=True)
    assert "of which CLIP reads 77" in str(refused.exception)
    if command == "import":
        kept = (folder / "catalog/recorded/things.jsonl").read_text()
        assert '"other"' in kept and '"third"' not in kept


def test_stage_warns_of_texts_that_clip_cuts_off(folder: Path) -> None:
    params = (folder / "params.yaml").read_text().replace("provider: recorded", "provider: file")
    own = params.replace("  model: claude", "  path: list.json\n  model: claude", 1)
    (folder / "params.yaml").write_text(own)
    lists = {**GOOD, "rose": [CHINESE]}
    (folder / "list.json").write_text(json.dumps(lists))
    result = _stage("things", folder=folder)
    assert result.returncode == 0 and result.stderr.startswith("warning: attributes of things")
    written = folder / "data" / "attributes" / "things.json"
    written.unlink()
    own = own.replace("  path: list.json", "  path: list.json\n  long_texts: refuse", 1)
    (folder / "params.yaml").write_text(own)
    result = _stage("things", folder=folder)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "error: attributes of things, class 'rose'" in result.stderr and not written.exists()
