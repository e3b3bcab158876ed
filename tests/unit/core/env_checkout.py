"""A checkout for the tests of `make env`: interpreters and uv are scripts that record their calls.

Nothing is built here but in the slow test of tests/unit/core/test_env_versions.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

Result = subprocess.CompletedProcess[str]
SUPPORTED = ("3.11", "3.12", "3.13")
TOOLS = (
    "awk",
    "cat",
    "chmod",
    "cksum",
    "cp",
    "cut",
    "date",
    "df",
    "dirname",
    "env",
    "find",
    "grep",
    "head",
    "ln",
    "mkdir",
    "rm",
    "sed",
    "sh",
    "sleep",
    "tail",
    "tr",
    "wc",
)

UV = """\
#!/bin/sh
echo "uv $*" >>"{log}"
case "$*" in
--version) echo "uv 1.2.3 (fake)" ;;
"cache dir") echo "{root}/cache" ;;
*" pip sync "*--dry-run*) cat "{root}/plan" ;;
*" pip sync "*)
    if grep -q download "{root}/plan" && [ ! -e "{root}/cached" ]; then
        case "$*" in *--offline*) echo "error: no network" && exit 1 ;; esac
    fi
    cat "{root}/fetched" 2>/dev/null
    while [ -e "{root}/stuck" ]; do sleep 0.1; done
    [ ! -e "{root}/sync-fails" ] || exit 1
    ;;
*" pip check "*)
    if [ -e "{root}/unfit" ]; then
        cat "{root}/unfit"
        exit 1
    fi
    ;;
esac
"""

PYTHON = """\
#!/bin/sh
case "$1 $2" in
"-c getattr"*)
    echo "fedmvp-python|{implementation}|{version}|{suffix}|{folder}|{program}"
    exit
    ;;
"-c import ensurepip"*) {ensurepip} ;;
"-c import fcntl"*) exec "{real}" "$@" ;;
esac
echo "{program} $*" | head -n 1 >>"{log}"
case "$*" in
"-m venv --clear "*)
    rm -rf "$4"
    mkdir -p "$4/bin" "$4/lib/python{minor}/site-packages"
    ln -s "{program}" "$4/bin/python"
    ;;
"-m pip "*" install "*) cp "{root}/uv" .venv/bin/uv ;;
"-m pip "*config*) exit 1 ;;
esac
"""


class Checkout:
    """A folder with `.ci/env` and what it reads, and a PATH with interpreters of our choice."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "log"
        self.home = self.folder("checkout")
        self.outside = root / "bin"
        self.outside.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.outside / tool).symlink_to(found)
        self.write("uv", UV.format(log=self.log, root=root))
        (root / "plan").write_text("Would install 2 packages\n + a==1\n + b==1\n")

    def folder(self, name: str) -> Path:
        home = self.root / name
        for path in (".ci", "fedmvp"):
            (home / path).mkdir(parents=True)
        shutil.copy(ROOT / ".ci/env", home / ".ci/env")
        (home / "pyproject.toml").write_text('requires-python = ">=3.11,<3.14"\n')
        (home / "requirements.txt").write_text("a==1\nb==1\nuv==1.2.3 \\\n    --hash=sha256:0\n")
        (home / "fedmvp/__init__.py").write_text("")
        return home

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(
        self,
        name: str,
        version: str,
        *,
        implementation: str = "cpython",
        tag: str = "",
        ensurepip: str = "exit 0",
        installed: str = "",
    ) -> Path:
        """Write an interpreter, by default one on PATH."""
        name = name if "/" in name else f"bin/{name}"
        major, minor = version.split(".")[:2]
        return self.write(
            name,
            PYTHON.format(
                log=self.log,
                root=self.root,
                real=sys.executable,
                program=self.root / name,
                folder=installed or self.root / version,
                version=version,
                minor=f"{major}.{minor}",
                implementation=implementation,
                suffix=f".cpython-{major}{minor}{tag}-x86_64-linux-gnu.so",
                ensurepip=ensurepip,
            ),
        )

    def make(self, python: str | Path | None = None, **more: str) -> Result:
        """Run it; the log holds what this run did."""
        self.log.write_text("")
        process = self.start(python, **more)
        _, said = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, "", said)

    def start(self, python: str | Path | None = None, **more: str) -> subprocess.Popen[str]:
        path = f"{self.home}/.venv/bin:{self.outside}"
        env = {"PATH": path, "HOME": str(self.root / "me")} | more
        if python is not None:
            env["PYTHON"] = str(python)
        return subprocess.Popen([self.home / ".ci/env"], env=env, stderr=subprocess.PIPE, text=True)

    def built(self) -> str | None:
        """Return the interpreter that made .venv in the last run; None if it was kept."""
        made = re.search(r"^(\S+) -m venv --clear \.venv$", self.log.read_text(), re.MULTILINE)
        return made and Path(made[1]).name

    def synced(self) -> list[str]:
        """Return how uv was told to install."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if " pip sync " in line and "--dry-run" not in line]


def ok(result: Result) -> str:
    assert result.returncode == 0, result.stderr
    return result.stderr


# Which interpreter
