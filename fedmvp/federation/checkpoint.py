"""One atomic checkpoint per round, with everything that affects the rounds to come.

It holds the global tensors, the server optimizer's state, what the method's server keeps, and the
log so far. What clients keep stays where they train, by round (`fedmvp.federation.states`); the
log in the checkpoint says which of their rounds counted. Random draws are derived from (seed,
purpose, client, round), so no generator state is needed. A file's name contains the hash of its
content: a truncated or altered checkpoint is ignored, and the one of the round before is used.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from fedmvp.errors import CheckpointError
from fedmvp.federation.waiting import time_left
from fedmvp.files import remove_partial, sha256_bytes, write_bytes
from fedmvp.process_lock import HeldElsewhere, hold

__all__ = ["Checkpoint", "CheckpointFolder"]

_KEEP = 2


@dataclass
class Checkpoint:
    """The state of a federation after some rounds.

    Parameters
    ----------
    rounds_done : int
    tensors : dict of str to Tensor
        Global tensors.
    server : dict of str to Tensor
        Server optimizer state.
    rows, failures : list of dict
        The log so far.
    method : dict of str to Tensor
        State of the method's server (`fedmvp.methods.server`).
    earlier : dict of int to dict of str to Tensor
        Global tensors of the rounds whose models are kept, by round index.
    """

    rounds_done: int
    tensors: dict[str, Tensor]
    server: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    method: dict[str, Tensor] = field(default_factory=dict)
    earlier: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def to(self, device: torch.device) -> Checkpoint:
        """Return a copy with all tensors on `device`; files are read to the CPU."""
        tensors, server = _moved(self.tensors, device), _moved(self.server, device)
        method = _moved(self.method, device)
        earlier = {index: _moved(kept, device) for index, kept in self.earlier.items()}
        return replace(self, tensors=tensors, server=server, method=method, earlier=earlier)

    def to_bytes(self) -> bytes:
        """Serialise to one safetensors file; the log is JSON in a tensor of bytes."""
        meta = {
            "rounds_done": self.rounds_done,
            "rows": self.rows,
            "failures": self.failures,
        }
        flat = {f"global/{name}": tensor for name, tensor in self.tensors.items()}
        flat |= {f"server/{name}": tensor for name, tensor in self.server.items()}
        flat |= {f"method/{name}": tensor for name, tensor in self.method.items()}
        for index, kept in self.earlier.items():
            flat |= {f"earlier/{index}/{name}": tensor for name, tensor in kept.items()}
        flat["meta"] = torch.frombuffer(bytearray(json.dumps(meta).encode()), dtype=torch.uint8)
        content: bytes = save({name: t.detach().cpu().contiguous() for name, t in flat.items()})
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """Read what `to_bytes` wrote."""
        flat = load(content)
        meta = json.loads(flat.pop("meta").numpy().tobytes())
        return cls(
            rounds_done=meta["rounds_done"],
            tensors=_part(flat, "global/"),
            server=_part(flat, "server/"),
            rows=meta["rows"],
            failures=meta["failures"],
            method=_part(flat, "method/"),
            earlier=_earlier(_part(flat, "earlier/")),
        )


def _earlier(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Return kept rounds by index, in their order."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        number, name = key.split("/", 1)
        found.setdefault(int(number), {})[name] = tensor
    return {index: found[index] for index in sorted(found)}


def _moved(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _part(flat: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in flat.items() if k.startswith(prefix)}


class CheckpointFolder:
    """Git-ignored scratch folder of a federation or a run; the newest two checkpoints are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def held(self, rounds: int | None = None, patience_s: float = 10.0) -> Iterator[None]:
        """Within this context, keep other processes out; a killed process's lock is released.

        Parameters
        ----------
        rounds : int, optional
            Rounds of all folds; with it the error says how long the other process will take.
        patience_s : float, default=10.0
            How long to wait for a process that may be ending, in seconds.

        Raises
        ------
        CheckpointError
            When another process is training the same run.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            lock = hold(path, patience_s)
        except HeldElsewhere as other:
            left = time_left(self.path, rounds) if rounds else None
            raise CheckpointError(
                f"process {other.holder} is training this run (was the `dvc` that started "
                f"it killed?); waited {patience_s:g} s",
                where=self.path,
                hint=f"wait until it has ended{f' ({left})' if left else ''}, or stop it with "
                f"`kill {other.holder}`, and run again: finished rounds are kept",
            ) from None
        except OSError as error:
            error.add_note("set FEDMVP_SCRATCH to a folder on a disk that has file locks")
            error.filename = str(path)
            raise
        with lock:
            remove_partial(self.path)
            try:
                yield
            except BaseException:
                # Without a finished round there is nothing to resume.
                if not any(self.path.rglob("round-*")):
                    self.remove()
                raise

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("round-*.safetensors"))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint atomically, then delete all but the newest two.

        Raises
        ------
        OSError
            When it cannot be written; older checkpoints stay.
        """
        content = checkpoint.to_bytes()
        name = f"round-{checkpoint.rounds_done:06d}-{sha256_bytes(content)[:16]}.safetensors"
        write_bytes(self.path / name, content)
        for old in self._files()[:-_KEEP]:
            with contextlib.suppress(OSError):
                old.unlink()

    def newest(self) -> Checkpoint | None:
        """Return the newest undamaged checkpoint, or None."""
        for path in reversed(self._files()):
            with contextlib.suppress(Exception):  # damaged bytes raise many kinds of error
                content = path.read_bytes()
                if sha256_bytes(content)[:16] == path.stem.rsplit("-", 1)[-1]:
                    return Checkpoint.from_bytes(content)
        return None

    def remove(self) -> None:
        """Delete the folder, once its results are written."""
        shutil.rmtree(self.path, ignore_errors=True)
