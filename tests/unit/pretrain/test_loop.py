"""Training that was cut off goes on as if it had not been."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fedmvp.errors import CheckpointError
from pretrain.checkpoints import average_of, checkpoint_folder, work_done
from pretrain.loop import fresh_draw, run_phase
from pretrain.recipe import Recipe
from tests.paths import ROOT
from tests.unit.pretrain.samples import tiny_recipe

STEPS = 6


class Cut(Exception):
    """The process was killed."""


class Student(nn.Module):
    """A matrix for Muon and a vector for AdamW."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.resblocks = nn.ModuleList([nn.Linear(6, 6)])
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.resblocks[0](x) * self.scale
        return out


def train(recipe: Recipe, cut_after: int = STEPS) -> None:
    """Learn the identity from drawn examples; die in the step after `cut_after`."""
    student, steps = Student(), 0

    def step(draw: torch.Generator) -> dict[str, Tensor]:
        nonlocal steps
        if steps == cut_after:
            raise Cut
        steps += 1
        x = torch.randn(8, 6, generator=draw)
        return {"loss": ((student(x) - x) ** 2).mean()}

    draw = fresh_draw("text", recipe.text_phase.seed)
    run_phase("text", recipe, student, draw, step, lambda _: {})


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Six steps with a checkpoint after each."""
    monkeypatch.setenv("PICTOCLIP_CHECKPOINTS", str(tmp_path))
    base = tiny_recipe(STEPS)
    phase = base.text_phase.model_copy(update={"checkpoint_minutes": 1e-9})
    return base.model_copy(update={"text_phase": phase})


def state() -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(checkpoint_folder("text") / "last.pt", weights_only=True)
    return loaded


def flat(value: Any) -> list[Any]:
    """Tensors and numbers of a nested state, in order."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in flat(value[key])]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in flat(item)]
    return [value.tolist() if torch.is_tensor(value) else value]


@pytest.mark.parametrize("cut_after", [1, 3, 5])
def test_an_interrupted_run_equals_an_uninterrupted_one(
    recipe: Recipe, cut_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe)
    whole = state()
    monkeypatch.setenv("PICTOCLIP_CHECKPOINTS", str(tmp_path / "again"))
    with pytest.raises(Cut):
        train(recipe, cut_after)
    assert work_done(checkpoint_folder("text")) == 8 * cut_after
    train(recipe)
    assert flat(state()) == flat(whole)


def test_a_complete_phase_takes_no_step(recipe: Recipe) -> None:
    train(recipe)
    before = flat(state())
    train(recipe, cut_after=0)
    assert flat(state()) == before


def test_another_recipe_is_refused_but_a_longer_one_is_not(recipe: Recipe) -> None:
    train(recipe)
    longer = recipe.text_phase.model_copy(update={"texts": 8 * (STEPS + 2)})
    train(recipe.model_copy(update={"text_phase": longer}))
    assert state()["done"] == 8 * (STEPS + 2)
    other = recipe.text_phase.model_copy(update={"weight_decay": 0.5})
    with pytest.raises(CheckpointError, match=r"last\.pt.*another recipe|another recipe.*last\.pt"):
        train(recipe.model_copy(update={"text_phase": other}))


def test_a_checkpoint_without_generators_is_read(recipe: Recipe) -> None:
    """As they were written before generators were kept: its draws derive from where it stands."""
    with pytest.raises(Cut):
        train(recipe, 3)
    old = {key: value for key, value in state().items() if key not in ("draws", "identity")}
    torch.save(old, checkpoint_folder("text") / "last.pt")
    train(recipe)
    first = copy.deepcopy(average_of(checkpoint_folder("text")))
    torch.save(old, checkpoint_folder("text") / "last.pt")
    train(recipe)
    assert state()["done"] == 8 * STEPS
    assert flat(average_of(checkpoint_folder("text"))) == flat(first)


@pytest.mark.slow
def test_two_workers_keep_a_generator_each(recipe: Recipe) -> None:
    # Workers are forked: of a process that has not computed gradients.
    code = (
        "import sys; from pretrain.recipe import Recipe; from pretrain.workers import launch; "
        "from tests.unit.pretrain.test_loop import train; "
        "launch(train, 2, Recipe.model_validate_json(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, recipe.model_dump_json()], check=True, cwd=ROOT)
    states = state()["draws"]
    assert len(states) == 2 and not torch.equal(*states)
