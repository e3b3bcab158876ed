"""`make env`: what is kept, what is built anew, and what it prints."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.unit.core.env_checkout import (
    Checkout,
    ok,
)


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
    assert "rebuilding .venv with Python 3.1" in said and reason in said and checkout.synced()
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
        "env: fetching packages: the first time, on Linux, 3.4 GB, which take 6.5 GB of disk in "
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
    assert " --offline " in sync and "3.4 GB" not in said


def test_a_mirror_of_pip_is_used_by_uv(checkout: Checkout) -> None:
    (checkout.root / "uv").write_text(
        (checkout.root / "uv").read_text() + f'echo "index $UV_DEFAULT_INDEX" >>"{checkout.log}"\n'
    )
    ok(checkout.make(checkout.python("python3", "3.12.1"), PIP_INDEX_URL="mirror.example"))
    assert "index mirror.example" in checkout.log.read_text()


# That the files agree
