"""What clients keep from round to round, where they compute: phase, momentum, personal tensors.

A state bears the number of the round it is the start of. The state before round r is the newest of
a round up to r, so a round that is repeated, as after a kill, starts from what it started from.
Nobody else holds it: not the round loop, and not its checkpoints.
"""

from __future__ import annotations

import contextlib
import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from fedmvp.errors import CheckpointError
from fedmvp.federation.client import ClientState
from fedmvp.files import parse_json, sha256_bytes, write_bytes
from fedmvp.tensor_files import parse_tensors

__all__ = ["MemoryStates", "StateFolder", "States"]

# Of each client, beside the newest: the checkpoints of two rounds are there to resume from.
_KEEP = 2
_META = "meta"


class States(ABC):
    """States of clients by round.

    Parameters
    ----------
    first_phase : str
        Of a client of which nothing is kept.
    all_from : int, optional
        Every state before this round or a later one is kept (``federation.kept_rounds``); by
        default what a run may resume from.
    """

    def __init__(self, first_phase: str, all_from: int | None = None) -> None:
        self.first_phase = first_phase
        self.all_from = all_from

    def before(self, client: str, round_index: int) -> ClientState:
        """Return the newest state of a round up to `round_index`; it may be changed.

        Raises
        ------
        CheckpointError
            When it is there and damaged.
        """
        found = [number for number in self._rounds(client) if number <= round_index]
        return self._read(client, max(found)) if found else ClientState(self.first_phase)

    def has(self, client: str) -> bool:
        """Tell whether anything is kept of a client: something is, once it took part."""
        return bool(self._rounds(client))

    def start(
        self, client: str, round_index: int, since: Mapping[str, int] | None
    ) -> tuple[int, ClientState]:
        """Return what a client goes on from, and the round that is the state before.

        Parameters
        ----------
        round_index, since
            See `fedmvp.federation.backend.Backend.run`.

        Raises
        ------
        CheckpointError
            When nothing is kept of a client that took part, or what is kept is damaged.
        """
        if since is None:
            return round_index, self.before(client, round_index)
        number = since[client]
        if number > 0 and not self.has(client):
            raise CheckpointError(
                "nothing is kept of it, though it took part before",
                where=f"client {client}, round {round_index}",
                hint="restore the folder of states, or delete the run's checkpoints, too, to begin "
                "anew",
            )
        return number, self.before(client, number)

    def keep(self, client: str, state: ClientState, *, since: int, after: int) -> None:
        """Keep what a client has after round `after` - 1.

        Parameters
        ----------
        since : int
            What it began with was the state before this round. States of later rounds are those
            of rounds that were not counted: they are forgotten.

        Raises
        ------
        OSError
            When it cannot be written; what was kept stays.
        """
        numbers = self._rounds(client)
        counted = sorted(number for number in numbers if number <= since)
        older = set(counted[-_KEEP:])
        if self.all_from is not None:
            older.update(number for number in counted if number >= self.all_from)
            older.update([number for number in counted if number < self.all_from][-1:])
        self._write(client, after, state, counted[-1] if counted else None)
        for number in numbers:
            if number not in older and number != after:
                self._drop(client, number)

    @abstractmethod
    def _rounds(self, client: str) -> list[int]: ...

    @abstractmethod
    def _read(self, client: str, number: int) -> ClientState: ...

    @abstractmethod
    def _write(self, client: str, number: int, state: ClientState, last: int | None) -> None:
        """Put `state` in the place of what there is of this number.

        `last` is the number of the one before it.
        """

    @abstractmethod
    def _drop(self, client: str, number: int) -> None: ...


class MemoryStates(States):
    """States of a run that is not to survive its process."""

    def __init__(self, first_phase: str, all_from: int | None = None) -> None:
        super().__init__(first_phase, all_from)
        self._states: dict[str, dict[int, ClientState]] = {}

    def _rounds(self, client: str) -> list[int]:
        return list(self._states.get(client, ()))

    def _read(self, client: str, number: int) -> ClientState:
        return copy.deepcopy(self._states[client][number])

    def _write(self, client: str, number: int, state: ClientState, last: int | None) -> None:
        self._states.setdefault(client, {})[number] = copy.deepcopy(state)

    def _drop(self, client: str, number: int) -> None:
        del self._states[client][number]


class StateFolder(States):
    """States on disk: a folder a client, in it a file a round, each written atomically.

    A file's name holds the hash of its content. A state that is the one before it is not written
    again: without momentum and personal tensors little is but at a change of phase.

    Parameters
    ----------
    path : Path
        Git-ignored scratch of one federation.
    device : torch.device or str
        Where states that are read are put.
    """

    def __init__(
        self,
        path: Path,
        first_phase: str,
        device: torch.device | str = "cpu",
        all_from: int | None = None,
    ) -> None:
        super().__init__(first_phase, all_from)
        self.path = path
        self.device = device

    def _files(self, client: str, number: int | None = None) -> list[Path]:
        # Names of clients are not names of files.
        folder = self.path / sha256_bytes(client.encode())[:24]
        pattern = "*" if number is None else f"{number:06d}"
        return sorted(folder.glob(f"before-{pattern}-*.safetensors"))

    def _rounds(self, client: str) -> list[int]:
        return sorted({int(path.name.split("-")[1]) for path in self._files(client)})

    def _read(self, client: str, number: int) -> ClientState:
        path = self._files(client, number)[-1]
        content = path.read_bytes()
        try:
            if sha256_bytes(content)[:16] != _hash_of(path):
                raise ValueError("its checksum is another")
            return _from_bytes(content, self.device)
        except (ValueError, KeyError) as error:
            raise CheckpointError(
                f"state of client {client} before round {number} is damaged ({error})",
                where=path,
                hint="restore the file, or delete the run's checkpoints and states to start again",
            ) from None

    def _write(self, client: str, number: int, state: ClientState, last: int | None) -> None:
        content = _to_bytes(state)
        digest = sha256_bytes(content)[:16]
        stale = self._files(client, number)
        if last is None or digest not in map(_hash_of, self._files(client, last)):
            folder = self.path / sha256_bytes(client.encode())[:24]
            path = folder / f"before-{number:06d}-{digest}.safetensors"
            write_bytes(path, content)
            stale = [old for old in stale if old != path]
        for old in stale:
            old.unlink(missing_ok=True)

    def _drop(self, client: str, number: int) -> None:
        for path in self._files(client, number):
            with contextlib.suppress(OSError):
                path.unlink()


def _hash_of(path: Path) -> str:
    return path.stem.rsplit("-", 1)[-1]


def _to_bytes(state: ClientState) -> bytes:
    flat = {f"momentum/{name}": tensor for name, tensor in state.momentum.items()}
    flat |= {f"personal/{name}": tensor for name, tensor in state.personal.items()}
    meta = json.dumps({"phase": state.phase}).encode()
    flat[_META] = torch.frombuffer(bytearray(meta), dtype=torch.uint8)
    content: bytes = save({name: t.detach().cpu().contiguous() for name, t in flat.items()})
    return content


def _from_bytes(content: bytes, device: torch.device | str) -> ClientState:
    flat = parse_tensors(content)
    meta: Any = parse_json(flat.pop(_META).numpy().tobytes().decode())

    def part(kind: str) -> dict[str, Tensor]:
        start = f"{kind}/"
        return {
            name.removeprefix(start): tensor.to(device)
            for name, tensor in flat.items()
            if name.startswith(start)
        }

    return ClientState(meta["phase"], part("momentum"), part("personal"))
