"""Whatever a target installs is pinned by hash."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.paths import ROOT

LOCKS = sorted(path.name for path in ROOT.glob("requirements*.txt"))


def test_targets_install_by_hash_alone() -> None:
    scripts = [ROOT / "Makefile", *(p for p in (ROOT / ".ci").iterdir() if p.is_file())]
    lines = [
        line
        for script in scripts
        for line in script.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        if re.search(r"\bpip (install|sync)\b", line) and not line.lstrip().startswith("#")
    ]
    assert len(lines) == 4  # lock, docs, pretrain; uv itself
    assert not [line for line in lines if "--require-hashes" not in line]


def test_every_group_has_its_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    assert set(LOCKS) == {"requirements.txt", *(f"requirements-{name}.txt" for name in groups)}
    for name, wanted in groups.items():
        pinned = (ROOT / f"requirements-{name}.txt").read_text(encoding="utf-8")
        for each in wanted:
            package = re.split(r"[\[<>=]", each)[0]
            assert re.search(rf"^{package}(\[\w+\])?==", pinned, re.MULTILINE), package


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_its_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    pins = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert pins
    assert not [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin]
    assert "://" not in text
