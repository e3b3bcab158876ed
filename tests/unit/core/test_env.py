"""`make env`: which interpreter is taken, and which is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.core.env_checkout import (
    Checkout,
    ok,
)


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
