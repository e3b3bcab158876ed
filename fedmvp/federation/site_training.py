"""The server's side of a federation of sites: the round loop over a `RemoteBackend`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from fedmvp.errors import CheckpointError, DataError
from fedmvp.federation.backend import Backend
from fedmvp.federation.checkpoint import CheckpointFolder
from fedmvp.federation.head_start import HeadSums, start_with
from fedmvp.federation.plan import Plan, require_possible
from fedmvp.federation.rounds import FederationResult, RoundReport, run_federation
from fedmvp.files import read_json, write_json
from fedmvp.methods.base import Method

__all__ = ["SitesResult", "train_sites"]

_NOISE = "noise_seed"
_SUMS = "head_sums.json"
_HINT = "restore the file, or delete the folder to start the federation again"


@dataclass(frozen=True)
class SitesResult:
    """The result of a federation of sites at the server.

    Parameters
    ----------
    since : dict of str to int
        For `RemoteBackend.evaluate`: for each client, the round after the last that counted.
    """

    result: FederationResult
    since: dict[str, int]


def train_sites(
    plan: Plan,
    method: Method,
    backend: Backend,
    folder: Path,
    progress: Callable[[RoundReport], None] | None = None,
    head_sums: Callable[[], HeadSums] | None = None,
) -> SitesResult:
    """Train the plan's rounds, or those that are left.

    Parameters
    ----------
    method : Method
        As `Plan.create` returns it.
    folder : Path
        Checkpoints of this federation, and the secret seed of its noise; must not be shared.
    head_sums : callable, optional
        Asks the sites for the sums a multi-label head starts from (`RemoteBackend.head_sums`).

    Raises
    ------
    ConfigError
        When the plan is impossible.
    CheckpointError
        When another process is training this federation, or a file is damaged.
    DataError
        When no site knows a positive label, or none knows a negative one.
    ClientFailure
        See `run_federation`.
    """
    require_possible(plan)
    federation, checkpoints = plan.resolved(), CheckpointFolder(folder)
    with checkpoints.held(federation.rounds):
        if plan.multilabel is not None:
            assert head_sums is not None
            start_with(method, _kept_sums(folder / _SUMS, head_sums))
        result = run_federation(
            {name: tensor.detach().clone() for name, tensor in method.tensors().items()},
            backend,
            plan.clients,
            federation,
            seed=plan.seed,
            checkpoints=checkpoints,
            progress=progress,
            server=method.server(federation.rounds),
            # Every site knows the plan's seed, so noise drawn from it could be subtracted.
            noise_seed=None if federation.privacy is None else _noise_seed(folder / _NOISE),
        )
    return SitesResult(result, {row["client"]: row["round"] + 1 for row in result.rows})


def _kept_sums(path: Path, ask: Callable[[], HeadSums]) -> HeadSums:
    """Return the sites' sums, kept for when a run resumes: other sites may be connected then."""
    if not path.is_file():
        write_json(path, asdict(ask()))
    try:
        return HeadSums(**read_json(path))
    except (DataError, TypeError):
        raise CheckpointError("does not hold four sums", where=path, hint=_HINT) from None


def _noise_seed(path: Path) -> int:
    """Return the secret seed of the noise, kept so that a resumed run uses the same."""
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        number = secrets.randbits(62)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_name(f".{path.name}.partial")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)  # unreadable for others before anything is written
        new.write_text(str(number), encoding="ascii")
        new.replace(path)
        return number
    except ValueError:
        raise CheckpointError("is not a number", where=path, hint=_HINT) from None
