"""What clients keep from round to round, where they train: phase, momentum, personal tensors.

A state has the number of the round before which it was kept. The state before round r is the newest
whose number is at most r, so a round that is repeated, for instance after a kill, starts from the
same state again. States are kept nowhere else, neither by the round loop nor in its checkpoints.
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

# States kept of each client besides the newest: a run may resume from either of two checkpoints.
_KEEP = 2
_META = "meta"


class States(ABC):
    """States of clients, by round.

    Parameters
    ----------
    first_phase : str
        Phase of a client that has no state yet.
    all_from : int, optional
        Every state with this number or a higher one is kept (``federation.kept_rounds``); by
        default, only those from which a run may resume.
    """

    def __init__(self, first_phase: str, all_from: int | None = None) -> None:
        self.first_phase = first_phase
        self.all_from = all_from

    def before(self, client: str, round_index: int) -> ClientState:
        """Return the newest state whose number is at most `round_index`; it may be changed.

        Raises
        ------
        CheckpointError
            When its file is damaged.
        """
        found = [number for number in self._rounds(client) if number <= round_index]
        return self._read(client, max(found)) if found else ClientState(self.first_phase)

    def has(self, client: str) -> bool:
        """Tell whether a client has a state, as it does once it has taken part."""
        return bool(self._rounds(client))

    def start(
        self, client: str, round_index: int, since: Mapping[str, int] | None
    ) -> tuple[int, ClientState]:
        """Return the number of the state that a client continues from, and that state.

        Parameters
        ----------
        round_index, since
            See `fedmvp.federation.backend.Backend.run`.

        Raises
        ------
        CheckpointError
            When a client that took part has no state, or its file is damaged.
        """
        if since is None:
            return round_index, self.before(client, round_index)
        number = since[client]
        if number > 0 and not self.has(client):
            raise CheckpointError(
                "has no state, although it took part before",
                where=f"client {client}, round {round_index}",
                hint="restore the folder of states, or delete the run's checkpoints, too, to start "
                "again",
            )
        return number, self.before(client, number)

    def keep(self, client: str, state: ClientState, *, since: int, after: int) -> None:
        """Keep a client's state from before round `after`.

        Parameters
        ----------
        since : int
            Number of the state it continued from. States with higher numbers come from rounds that
            were not counted: they are deleted.

        Raises
        ------
        OSError
            When it cannot be written; older states stay.
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
        """Store `state` under this number, replacing what was stored under it.

        `last` is the number of the state before it.
        """

    @abstractmethod
    def _drop(self, client: str, number: int) -> None: ...


class MemoryStates(States):
    """States in memory, for a run that need not survive its process."""

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
    """States on disk: a folder per client with a file per round, each written atomically.

    A file's name contains the hash of its content. A state equal to the one before it is not
    written: without momentum and personal tensors, a state changes only with the phase.

    Parameters
    ----------
    path : Path
        Git-ignored scratch folder of one federation.
    device : torch.device or str
        Device on which loaded tensors are put.
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
        # A client's name need not be a valid file name.
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
                raise ValueError("its checksum differs")
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
