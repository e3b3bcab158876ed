"""Data-parallel worker processes, one thread each.

On a CPU this beats threads inside one process: the workers wait for each other once a step, not
at every operation, which also rides out other load on the machine. With a GPU one worker is used.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

from fedmvp.seeds import torch_generator

__all__ = [
    "average_gradients",
    "decide_together",
    "draw_states",
    "generator",
    "is_first",
    "launch",
    "restore_draw",
    "share",
]


def launch(task: Callable[..., None], workers: int, *arguments: object) -> None:
    """Run `task(*arguments)` in forked workers that can average gradients."""
    torch.set_num_threads(1)
    if workers == 1:
        task(*arguments)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start_processes(
        _enter,
        (task, workers, port, arguments),  # type: ignore[no-untyped-call]
        workers,
        start_method="fork",
    )


def _enter(
    rank: int, task: Callable[..., None], workers: int, port: int, arguments: tuple[object, ...]
) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=workers)
    task(*arguments)
    dist.barrier()
    dist.destroy_process_group()


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Return whether this worker writes files."""
    return _rank() == 0


def share(total: int) -> int:
    """Return this worker's part of a batch."""
    return total // dist.get_world_size() if dist.is_initialized() else total


def generator(seed: int, purpose: str, done: int) -> torch.Generator:
    """Return a generator of this worker's own, derived from where training stands."""
    return torch_generator(seed, purpose, _rank(), done)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the workers."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def decide_together(choice: int) -> int:
    """Return the first worker's choice."""
    if not dist.is_initialized():
        return choice
    flag = torch.tensor([choice])
    dist.broadcast(flag, 0)
    return int(flag.item())


def draw_states(draw: torch.Generator) -> tuple[Tensor, ...]:
    """Return the state of every worker's generator; every worker must call this."""
    state = draw.get_state()
    if not dist.is_initialized():
        return (state,)
    states = [torch.empty_like(state) for _ in range(dist.get_world_size())]
    dist.all_gather(states, state)
    return tuple(states)


def restore_draw(draw: torch.Generator, states: Sequence[Tensor], fresh: torch.Generator) -> None:
    """Set this worker's generator to its saved state.

    To `fresh` where there is none, or where the number of workers has changed.
    """
    workers = dist.get_world_size() if dist.is_initialized() else 1
    draw.set_state(states[_rank()] if len(states) == workers else fresh.get_state())
