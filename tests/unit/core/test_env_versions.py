"""`make env`: one list of supported versions, the lock, and a small venv of each for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.paths import ROOT
from tests.unit.core.env_checkout import (
    SUPPORTED,
    ok,
)


def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def test_the_supported_versions_are_the_same_everywhere() -> None:
    about = project()["project"]
    assert isinstance(about, dict)
    prefix = "Programming Language :: Python :: 3."
    assert (
        tuple(
            f"3.{name.removeprefix(prefix)}"
            for name in about["classifiers"]
            if name.startswith(prefix)
        )
        == SUPPORTED
    )
    assert about["requires-python"] == ">=3.11,<3.14"
    locks = re.findall(r"uv pip compile .*", (ROOT / "Makefile").read_text())
    assert locks
    assert all(f"--python-version {SUPPORTED[0]} " in lock for lock in locks)
    jobs = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())["jobs"]
    assert tuple(jobs["check"]["strategy"]["matrix"]["python"]) == SUPPORTED


def test_settings_of_the_lock_do_not_govern_what_is_installed() -> None:
    tool = project()["tool"]
    assert isinstance(tool, dict)
    assert tool["uv"]["pip"]["universal"] is True
    assert not {"python-version", "python-platform", "python"} & set(tool["uv"]["pip"])


def test_the_lock_has_hashes_and_names_no_host() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)
    names = [re.match(r"[\w.-]+==", block) for block in blocks]
    assert all(names) and len({name[0] for name in names if name}) == len(blocks), "pinned twice"


# For real


def interpreters() -> dict[str, Path]:
    """Every supported interpreter this machine has, by version."""
    folders = [*os.environ["PATH"].split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    folders += sorted(map(str, Path.home().glob(".pyenv/versions/*/bin")))
    found: dict[str, Path] = {}
    for version in SUPPORTED:
        for folder in folders:
            path = Path(folder, f"python{version}")
            if version in found or not path.is_file():
                continue
            answer = subprocess.run(
                [path, "-c", "import ensurepip, venv, sys; print(sys.version_info[1])"],
                capture_output=True,
                text=True,
                check=False,
            )
            if answer.stdout.strip() == version.removeprefix("3."):
                found[version] = path
    return found


def locked(*names: str) -> str:
    """Return the pins of some packages."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.txt").read_text().strip())
    wanted = [block for block in blocks if block.split("==")[0] in names]
    assert len(wanted) == len(names)
    return "\n".join(wanted) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("version", SUPPORTED)
def test_a_small_venv_for_real(tmp_path: Path, version: str) -> None:
    python = interpreters().get(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    home = tmp_path / "checkout"
    for path in (".ci/env", "pyproject.toml"):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, home / path)
    (home / "fedmvp").mkdir()
    (home / "fedmvp/__init__.py").write_text('__version__ = "0"\n')
    (home / "README.md").touch()
    build = ("hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
    (home / "requirements.txt").write_text(locked("markupsafe", "pyyaml", "uv", *build))
    # `uv pip check` would miss the rest, and so would the imports that are compiled.
    text = (home / "pyproject.toml").read_text()
    flags = re.MULTILINE | re.DOTALL
    text = re.sub(r"^(dependencies|dev) = \[.*?^\]$", r"\1 = []", text, flags=flags)
    # No setting of uv's may choose the wheels: this one once did.
    text = text.replace("[tool.uv.pip]\n", '[tool.uv.pip]\npython-version = "3.11"\n')
    assert 'python-version = "3.11"' in text
    (home / "pyproject.toml").write_text(text)
    script = (home / ".ci/env").read_text()
    imports = re.search(r"PYTHONDONTWRITEBYTECODE \S+ -c '(.*?)'", script, re.DOTALL)
    assert imports
    for module in re.sub(r"\bimport\b|,", " ", imports[1]).split():
        if module != "yaml":
            file = home.joinpath(*module.split("."), "__init__.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    def make(name: Path | None) -> str:
        env = {key: value for key, value in os.environ.items() if key != "PYTHON"}
        if name is not None:
            env["PYTHON"] = str(name)
        command = [home / ".ci/env"]
        result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if result.returncode == 1 and "is there a network" in result.stderr:
            pytest.skip(f"neither cached nor fetched: {result.stderr.splitlines()[-1]}")
        return ok(result)

    assert f"has Python {version}." in make(python)
    inside = home / ".venv/bin/python"
    tell = "from sysconfig import *; print(get_python_version(), get_config_var('EXT_SUFFIX'))"
    found, suffix = subprocess.run(
        [inside, "-c", tell], capture_output=True, text=True, check=True
    ).stdout.split()
    assert found == version
    modules = [path.name for path in (home / ".venv/lib").rglob("*.so")]
    assert len(modules) >= 2 and all(name.endswith(suffix) for name in modules)
    use = "import markupsafe._speedups, yaml._yaml"
    subprocess.run([inside, "-c", use], check=True, cwd=tmp_path)
    assert make(python) == "" and make(None) == ""
