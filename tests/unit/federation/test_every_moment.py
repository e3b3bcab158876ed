"""A run that ends at any write or removal of a file resumes to the same bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save

from fedmvp.config import FederationParams
from fedmvp.federation.checkpoint import CheckpointFolder
from fedmvp.federation.rounds import run_federation
from fedmvp.federation.states import StateFolder
from tests.toys import federation
from tests.unit.federation.test_workers import CLIENTS, backend, plain, start
from tests.unit.federation.toy_rounds import Killed

PARAMS = federation(
    rounds=6, client_state="persistent", participation=0.7, learning_rate=0.1, kept_rounds=2
)


def run(folder: Path, params: FederationParams = PARAMS) -> Any:
    """Return all that a run leaves: tensors of the server, its log, and what clients keep."""
    runner = backend(params)
    runner.states = states = StateFolder(folder / "states", "first", all_from=5)
    result = run_federation(
        start(), runner, list(CLIENTS), params, seed=7, checkpoints=CheckpointFolder(folder)
    )
    kept = [plain(states, number) for number in (5, 6)]
    tensors = [save(result.tensors), *(save(earlier) for earlier in result.earlier.values())]
    return tensors, result.rows, kept


def killing(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """End the run at one of the moments before and after files get a name, or go."""
    count = 0

    def pass_by() -> None:
        nonlocal count
        count += 1
        if count == moment:
            raise Killed

    def around(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(self: Path, *arguments: Any, **options: Any) -> Any:
            if self.suffix == ".partial" and act is unlink:
                return act(self, *arguments, **options)  # tidying up after the end
            pass_by()
            done = act(self, *arguments, **options)
            pass_by()
            return done

        return acted

    replace, unlink = Path.replace, Path.unlink
    monkeypatch.setattr(Path, "replace", around(replace))
    monkeypatch.setattr(Path, "unlink", around(unlink))
    return lambda: count


@pytest.mark.slow
def test_a_run_resumes_from_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        passed = killing(patch, -1)
        assert run(tmp_path / "counted") == expected
    assert passed() > 40
    for moment in range(1, passed() + 1):
        folder = tmp_path / f"{moment}"
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killing(patch, moment)
            run(folder)
        # And once more on the way, so that a resumed run is killed, too.
        with monkeypatch.context() as patch:
            killing(patch, 5)
            with contextlib.suppress(Killed):
                run(folder)
        assert run(folder) == expected, moment


def test_another_run_gives_other_bytes(tmp_path: Path) -> None:
    """Else the equality above could not fail."""
    assert run(tmp_path / "one") != run(
        tmp_path / "two", PARAMS.model_copy(update={"momentum": 0.1})
    )
