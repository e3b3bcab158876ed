"""The loop that all phases share: schedule, steps, averaged weights, checkpoints, log.

It may be stopped at any time and goes on from the last checkpoint as if it had never stopped; it
stops by itself at the recipe's number of examples or at a time limit. On a CPU the batch is
shared by one process a core, on a GPU one process takes all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedmvp.errors import ConfigError
from fedmvp.files import write_json
from pretrain.checkpoints import (
    Progress,
    checkpoint_folder,
    load_checkpoint,
    save_checkpoint,
    work_done,
)
from pretrain.optimise import MovingAverage, make_optimizers, multiplier
from pretrain.recipe import MADE, PhaseName, Recipe
from pretrain.workers import (
    average_gradients,
    decide_together,
    draw_states,
    generator,
    is_first,
    restore_draw,
)

__all__ = ["UNITS", "Options", "Step", "finish", "fresh_draw", "options", "run_phase"]

UNITS: dict[PhaseName, str] = {"image": "images", "text": "texts", "joint": "images"}
_GO_ON, _SAVE, _STOP = range(3)
_SMOOTHING = 0.02
_CPU = torch.device("cpu")

# One forward pass: the loss first, then what else the log shows of it; scalars.
Step = Callable[[torch.Generator], dict[str, Tensor]]


@dataclass(frozen=True)
class Options:
    """What the command line and the environment decide.

    Attributes
    ----------
    minutes : float
        Time limit.
    workers : int
        Processes, one thread each; their number decides who draws what, so other numbers of
        them give other weights.
    device : torch.device
        Of the model; draws and icons stay on the CPU.
    """

    minutes: float = float("inf")
    workers: int = 1
    device: torch.device = _CPU


def options(description: str) -> Options:
    """Parse the command line; `FEDMVP_DEVICE` is the default of `--device`.

    Raises
    ------
    ConfigError
        When this machine has no such device.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="time limit")
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count(),
        help="processes on a CPU; part of the recipe, for it orders the sums",
    )
    parser.add_argument(
        "--device", default=os.environ.get("FEDMVP_DEVICE") or "cpu", help="cpu, cuda or cuda:<n>"
    )
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            "this machine has no such GPU",
            where="--device or FEDMVP_DEVICE",
            value=given.device,
            hint="use cpu",
        )
    workers = given.workers if device.type == "cpu" else 1
    torch.set_num_threads(1)
    return Options(given.minutes, workers, device)


def fresh_draw(name: PhaseName, seed: int, done: int = 0) -> torch.Generator:
    """Return this worker's generator of a phase, derived from where training stands."""
    return generator(seed, f"{name} phase", done)


def finish(name: PhaseName, recipe: Recipe) -> bool:
    """Write `work/<phase>_phase.json`, what DVC tracks of a phase, once the phase is complete.

    Returns
    -------
    bool
        Whether it is complete, so that there is nothing to train.
    """
    done = work_done(checkpoint_folder(name))
    if done < recipe.phase(name).total:
        return False
    write_json(MADE / f"{name}_phase.json", {"phase": name, "examples": done})
    return True


def run_phase(
    name: PhaseName,
    recipe: Recipe,
    module: nn.Module,
    draw: torch.Generator,
    step: Step,
    probe: Callable[[Mapping[str, Tensor]], dict[str, float]],
    minutes: float = float("inf"),
) -> None:
    """Train `module`, or go on training it, until the recipe's total or the time limit.

    Parameters
    ----------
    module : nn.Module
        On its device.
    draw : torch.Generator
        Handed to `step`; brought to where the checkpoint left it.
    probe : callable
        From the averaged weights to more numbers for the log.

    Raises
    ------
    CheckpointError
        When the checkpoint belongs to another recipe.
    """
    phase, identity = recipe.phase(name), recipe.identity(name)
    folder, unit = checkpoint_folder(name), UNITS[name]
    base = (phase.muon_learning_rate, phase.adam_learning_rate)
    optimizers = make_optimizers(module.named_parameters(), *base, phase.weight_decay)
    average = MovingAverage(module.state_dict(), phase.ema_decay)
    progress = load_checkpoint(folder, module, optimizers, average, identity)
    first = done = progress.done
    restore_draw(draw, progress.draws, fresh_draw(name, phase.seed, done))
    start = last = time.monotonic()
    running: dict[str, Tensor] = {}
    while done < phase.total:
        factor = multiplier(
            done // phase.batch_size,
            phase.total // phase.batch_size,
            phase.warmup_steps,
            phase.cooldown_fraction,
        )
        for optimizer, rate in zip(optimizers, base, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        parts = step(draw)
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        average_gradients(module.parameters())
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(module.state_dict())
        running = {
            key: running.get(key, value.detach()).lerp(value.detach(), _SMOOTHING)
            for key, value in parts.items()
        }
        done += phase.batch_size
        now = time.monotonic()
        choice = decide_together(
            _STOP
            if now - start > minutes * 60
            else _SAVE
            if now - last > phase.checkpoint_minutes * 60
            else _GO_ON
        )
        if choice == _GO_ON and done < phase.total:
            continue
        last = now
        states = draw_states(draw)
        if is_first():
            save_checkpoint(folder, module, optimizers, average, Progress(done, states), identity)
            row = {
                unit: done,
                "lr": round(factor, 4),
                f"{unit}_per_s": round((done - first) / (now - start)),
                **{key: round(value.item(), 4) for key, value in running.items()},
                **probe(average.values),
            }
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        if choice == _STOP:
            return
