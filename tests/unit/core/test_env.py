"""`.ci/env`, which builds .venv: which interpreter, when anew, and what it says.

Interpreters and uv are shell scripts here that record how they are called; nothing is built but in
the slow test at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

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


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def ok(result: Result) -> str:
    assert result.returncode == 0, result.stderr
    return result.stderr


# Which interpreter


@pytest.mark.parametrize("version", ["3.11.0", "3.12.1", "3.13.12"])
def test_the_named_interpreter_is_the_one_used(checkout: Checkout, version: str) -> None:
    checkout.python("python3", "3.11.9")
    named = checkout.python("chosen", version)
    said = ok(checkout.make("chosen"))
    assert checkout.built() == "chosen" and f"Python {version} ({named})" in said
    [sync] = checkout.synced()
    assert f"--python .venv/bin/python --python-version {version}" in sync
    assert "--require-hashes" in sync and sync.endswith(" requirements.txt")
    assert (checkout.home / ".venv/bin/python").resolve() == named


def test_a_path_with_spaces_may_be_named(checkout: Checkout) -> None:
    named = checkout.python("my pythons/python3", "3.12.1")
    ok(checkout.make(named))
    assert (checkout.home / ".venv/bin/python").resolve() == named


def refusals() -> dict[str, tuple[Callable[[Checkout], str | Path], str]]:
    def script(text: str) -> Callable[[Checkout], Path]:
        return lambda c: c.write("bin/odd", f"#!/bin/sh\n{text}\n")

    def python(version: str, **more: str) -> Callable[[Checkout], Path]:
        return lambda c: c.python("odd", version, **more)

    def text_file(c: Checkout) -> Path:
        (c.root / "notes").write_text("")
        return c.root / "notes"

    return {
        "missing": (lambda c: "python3.99", "not found; hint: install"),
        "missing path": (lambda c: c.root / "gone/python3", "not found; hint: install"),
        "folder": (lambda c: c.root, "is a folder"),
        "not executable": (text_file, "is not executable"),
        "prints": (script("echo hello"), "is not Python; it printed: hello"),
        "silent": (script("exit 0"), "is not Python; it printed: nothing"),
        "shell": (lambda c: "sh", "is not Python; exit 2: "),
        "fails": (
            script("echo 'no such option' >&2; exit 3"),
            "is not Python; exit 3: no such option",
        ),
        "no machine code": (
            script("echo 'Exec format error' >&2; exit 126"),
            "cannot run; exit 126: Exec format error",
        ),
        "crash": (script("kill -SEGV $$"), "cannot run; exit 139: "),
        "no library": (
            script("echo 'Fatal Python error: no encodings' >&2; exit 1"),
            "cannot run; exit 1: Fatal Python error: no encodings",
        ),
        "shim": (
            script("echo 'pyenv: python3.12: command not found'; echo; echo more; exit 127"),
            "cannot run; exit 127: pyenv: python3.12: command not found; hint",
        ),
        "2.7": (python("2.7.18"), "is too old; got 2.7.18"),
        "3.10": (python("3.10.13"), "is too old; got 3.10.13"),
        "3.14": (python("3.14.0"), "is too new; got 3.14.0"),
        "4.0": (python("4.0.0"), "is too new; got 4.0.0"),
        "pypy": (python("3.11.9", implementation="pypy"), "is pypy 3.11.9, not CPython"),
        "free-threaded": (python("3.13.1", tag="t"), "is the free-threaded build of 3.13.1"),
        "no ensurepip": (
            python("3.12.1", ensurepip="echo 'ModuleNotFoundError: no ensurepip' >&2; exit 1"),
            "has no venv or ensurepip (ModuleNotFoundError: no ensurepip); got 3.12.1; "
            "hint: on Debian and Ubuntu: apt install python3.12-venv",
        ),
    }


@pytest.mark.parametrize("case", refusals())
def test_an_unusable_interpreter_is_refused_in_one_line(checkout: Checkout, case: str) -> None:
    make, reason = refusals()[case]
    checkout.python("python3", "3.11.9")
    named = make(checkout)
    result = checkout.make(named)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith(f"env: PYTHON={named}: {reason}") and "hint: " in line
    assert not (checkout.home / ".venv").exists()


def test_an_unusable_interpreter_is_refused_beside_a_ready_venv(checkout: Checkout) -> None:
    ok(checkout.make(checkout.python("python3", "3.11.9")))
    assert checkout.make(checkout.python("old", "3.9.0")).returncode == 2
    assert checkout.make("python3.99").returncode == 2
    assert ok(checkout.make()) == "" and not checkout.synced()


def test_without_a_name_the_first_usable_one_is_taken(checkout: Checkout) -> None:
    checkout.python("python3", "3.9.2")
    checkout.python("python3.11", "3.11.2", ensurepip="exit 1")
    checkout.python("python3.12", "3.12.1")
    ok(checkout.make())
    assert checkout.built() == "python3.12"


def test_without_any_usable_one_every_reason_is_told(checkout: Checkout) -> None:
    checkout.python("python3", "3.9.2")
    checkout.python("python3.12", "3.12.1", ensurepip="exit 1")
    result = checkout.make()
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert "no Python of 3.11 to 3.13 on PATH; python3 is too old; got 3.9.2; " in line
    assert "; python3.12 has no venv or ensurepip" in line and "python3.13" not in line
    assert "hint: install one" in line


def test_pyenv_versions_count_even_where_they_are_not_switched_on(checkout: Checkout) -> None:
    checkout.write("bin/python3.13", "#!/bin/sh\necho 'pyenv: command not found'\nexit 127\n")
    checkout.python("me/.pyenv/versions/3.12.1/bin/python3.12", "3.12.1")
    checkout.python("me/.pyenv/versions/3.13.0/bin/python3.13", "3.13.0")
    assert "Python 3.12.1" in ok(checkout.make("python3.12"))
    assert "Python 3.13.0" in ok(checkout.make("python3.13"))
    assert "cannot run" in checkout.make(checkout.outside / "python3.13").stderr


def test_a_name_never_means_the_venv_itself(checkout: Checkout) -> None:
    ok(checkout.make(checkout.python("one/python3", "3.11.9")))
    (checkout.home / ".venv/bin/python3").symlink_to("python")
    checkout.python("python3", "3.12.1")
    ok(checkout.make("python3"))
    assert (checkout.home / ".venv/bin/python").resolve() == checkout.outside / "python3"


# When it is built


def test_a_second_run_does_nothing(checkout: Checkout) -> None:
    python = checkout.python("python3", "3.12.1")
    ok(checkout.make())
    for name in (None, "python3", python, checkout.home / ".venv/bin/python"):
        assert ok(checkout.make(name)) == ""
        assert not checkout.log.read_text()


def test_a_working_venv_keeps_its_interpreter(checkout: Checkout) -> None:
    checkout.python("python3", "3.11.9")
    ok(checkout.make(checkout.python("other", "3.13.0")))
    assert ok(checkout.make()) == ""
    (checkout.home / "requirements.txt").write_text("a==2\nuv==1.2.3 \\\n    --hash=sha256:0\n")
    assert "updating .venv, which has Python 3.13.0" in ok(checkout.make())
    assert checkout.built() is None and "--python-version 3.13.0" in checkout.synced()[0]


def spoiled() -> dict[str, tuple[Callable[[Checkout], object], str]]:
    def gone(c: Checkout) -> None:
        (c.outside / "python3.12").unlink()

    def moved(c: Checkout) -> None:
        c.home = c.home.rename(c.root / "moved")

    def foreign(c: Checkout) -> None:
        modules = c.home / ".venv/lib/python3.12/site-packages/numpy"
        modules.mkdir()
        (modules / "fine.cpython-312-x86_64-linux-gnu.so").touch()
        (modules / "core.cpython-311-x86_64-linux-gnu.so").touch()
        (modules / "more.cpython-312-aarch64-linux-gnu.so").touch()
        c.home.joinpath("requirements.txt").write_text("uv==1.2.3 \\\n    --hash=sha256:0\n")

    return {
        "gone": (gone, "its Python is gone"),
        "broken": (
            lambda c: c.write("bin/python3.12", "#!/bin/sh\nexit 127\n"),
            "its Python cannot run",
        ),
        "upgraded": (lambda c: c.python("python3.12", "3.13.0"), "not for Python 3.13.0"),
        "unsupported": (lambda c: c.python("python3.12", "3.14.0"), "its Python is too new"),
        "moved": (moved, "built in another folder"),
        "half built": (lambda c: c.home.joinpath(".venv/.ready").unlink(), "half built"),
        "hardly begun": (lambda c: c.home.joinpath(".venv/.home").unlink(), "half built"),
        "foreign": (foreign, "holds 2 extension modules of another Python or platform"),
    }


@pytest.mark.parametrize("case", spoiled())
def test_a_venv_that_cannot_be_kept_is_built_anew(checkout: Checkout, case: str) -> None:
    spoil, reason = spoiled()[case]
    ok(checkout.make(checkout.python("python3.12", "3.12.1")))
    spoil(checkout)
    checkout.python("python3.11", "3.11.9")
    said = ok(checkout.make())
    assert "building .venv anew with Python 3.1" in said and reason in said and checkout.synced()
    # It keeps its interpreter if that can be kept.
    lost = case in ("gone", "broken", "unsupported")
    assert checkout.built() == ("python3.11" if lost else "python3.12")
    assert ok(checkout.make()) == ""


def test_another_interpreter_builds_anew(checkout: Checkout) -> None:
    checkout.python("python3.11", "3.11.9")
    checkout.python("python3.13", "3.13.0")
    ok(checkout.make("python3.11"))
    assert "it has Python 3.11.9 of" in ok(checkout.make("python3.13"))
    assert checkout.built() == "python3.13"
    assert ok(checkout.make("python3.13")) == "" and ok(checkout.make()) == ""
    # Not the version alone counts: another interpreter of the same is another, too.
    checkout.python("python3.13", "3.13.1")
    ok(checkout.make())
    twin = checkout.python("twin", "3.13.1", installed="/elsewhere")
    assert "it has Python 3.13.1 of" in ok(checkout.make(twin))


def test_a_venv_of_another_python_than_asked_is_no_success(checkout: Checkout) -> None:
    checkout.python("python3.11", "3.11.9")
    liar = checkout.python("liar", "3.12.1")
    liar.write_text(
        liar.read_text().replace(f'"{liar}" "$4', f'"{checkout.outside}/python3.11" "$4')
    )
    result = checkout.make(liar)
    assert result.returncode == 1 and "liar made one of Python 3.11.9 in" in result.stderr
    assert not checkout.synced()


def test_an_old_venv_survives_a_failed_fetch(checkout: Checkout) -> None:
    ok(checkout.make(checkout.python("python3", "3.12.1")))
    requirements = checkout.home / "requirements.txt"
    before = requirements.read_text()
    requirements.write_text("c==1\n" + before)
    (checkout.root / "plan").write_text("Would download 1 package\nWould install 1 package\n")
    (checkout.root / "sync-fails").touch()
    result = checkout.make()
    assert result.returncode == 1 and "is there a network" in result.stderr
    requirements.write_text(before)
    assert ok(checkout.make()) == ""
    # Whoever fails while installing leaves half a .venv.
    requirements.write_text("c==1\n" + before)
    (checkout.root / "fetched").write_text("Prepared 1 package in 1s\n")
    assert checkout.make().returncode == 1
    requirements.write_text(before)
    (checkout.root / "sync-fails").unlink()
    assert "half built" in ok(checkout.make())


def test_two_at_once_build_one_after_the_other(checkout: Checkout) -> None:
    checkout.python("python3", "3.12.1")
    checkout.log.touch()
    stuck = checkout.root / "stuck"
    stuck.touch()
    first = checkout.start()
    while not checkout.synced():
        time.sleep(0.05)
        assert first.poll() is None
    second = checkout.start()
    assert second.stderr and second.stderr.readline() == (
        "env: another make builds .venv; waiting for it\n"
    )
    stuck.unlink()
    assert "done" in first.communicate(timeout=300)[1] and first.returncode == 0
    assert second.communicate(timeout=300)[1] == "" and second.returncode == 0
    assert len(checkout.synced()) == 1


def test_what_changes_while_it_builds_is_for_the_next_time(checkout: Checkout) -> None:
    checkout.python("python3", "3.12.1")
    uv = checkout.root / "uv"
    uv.write_text(
        f'{uv.read_text()}case "$*" in *" pip sync "*)'
        f' echo "c==1" >>"{checkout.home}/requirements.txt" ;; esac\n'
    )
    ok(checkout.make())
    assert "updating" in ok(checkout.make())


def test_packages_that_do_not_fit_are_no_success(checkout: Checkout) -> None:
    (checkout.root / "unfit").write_text("The package `a` was built for a different platform\n")
    result = checkout.make(checkout.python("python3", "3.12.1"))
    assert result.returncode == 1
    assert "do not fit Python 3.12.1: The package `a` was built for a different" in result.stderr
    (checkout.root / "unfit").unlink()
    assert "half built" in ok(checkout.make()) and ok(checkout.make()) == ""


# What it says


def test_progress(checkout: Checkout) -> None:
    checkout.python("python3", "3.12.1")
    plan = "Would download 2 packages\nWould install 3 packages\n + a==1\n"
    (checkout.root / "plan").write_text(plan)
    (checkout.root / "fetched").write_text(
        "Using Python 3.12.1 environment at: .venv\nResolved 3 packages in 2s\n"
        "Downloading torch (514.2MiB)\nDownloading cublas (1.5GiB)\n   Building a==1\n"
        "      Built a==1\n Downloaded torch\nwarning: slow disk\n Downloaded cublas\n"
        "Prepared 2 packages in 9s\nInstalled 3 packages in 1s\n + a==1\n"
    )
    said = re.sub(r"\b\d+ s\b", "N s", ok(checkout.make()))
    for line in (
        "env: building .venv with Python 3.12.1 ",
        "env: getting uv 1.2.3",
        "env: 3 packages to install, 2 of them to fetch or to build\n",
        "env: fetching packages: the first time, on Linux, 3.3 GB, which take 6 GB of disk in "
        f"{checkout.root}/cache",
        "env: fetched torch, 514 of 2050 MiB, N s\n",
        "env: fetched cublas, 2050 of 2050 MiB, N s\n",
        "\nwarning: slow disk\n",
        "env: compiling",
        "env: done in N s: .venv has Python 3.12.1",
    ):
        assert line in said
    assert "a==1" not in said and "Resolved" not in said and "no network" not in said


def test_what_is_cached_is_not_asked_of_the_network(checkout: Checkout) -> None:
    said = ok(checkout.make(checkout.python("python3", "3.12.1")))
    assert "2 packages to install, none of them to fetch or to build" in said
    [sync] = checkout.synced()
    assert " --offline " in sync


def test_what_only_has_to_be_built_needs_no_network(checkout: Checkout) -> None:
    (checkout.root / "plan").write_text("Would download 1 package\nWould install 2 packages\n")
    (checkout.root / "cached").touch()
    said = ok(checkout.make(checkout.python("python3", "3.12.1")))
    assert "2 packages to install, 1 of them to fetch or to build" in said
    [sync] = checkout.synced()
    assert " --offline " in sync and "3.3 GB" not in said


def test_a_mirror_of_pip_is_used_by_uv(checkout: Checkout) -> None:
    (checkout.root / "uv").write_text(
        (checkout.root / "uv").read_text() + f'echo "index $UV_DEFAULT_INDEX" >>"{checkout.log}"\n'
    )
    ok(checkout.make(checkout.python("python3", "3.12.1"), PIP_INDEX_URL="mirror.example"))
    assert "index mirror.example" in checkout.log.read_text()


# That the files agree


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
