"""Inputs and outputs of stages on machines without this checkout, sent through a DVC remote.

Files are sent as objects of DVC's cache, with the entries of dvc.lock that name them, just as a
colleague would get them with `git pull` and `dvc pull`. The source is sent as it is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fedmvp.errors import ConfigError, nearest, one_line

__all__ = ["Remote", "Transfer", "fetch_inputs", "publish_outputs", "source_files"]

_LOCK = "dvc.lock"


class Transfer(BaseModel):
    """What a worker with its own checkout needs to know besides a stage's name.

    Parameters
    ----------
    remote : dict
        DVC's configuration of the remote.
    needs : list of str
        Stages whose outputs the stage reads.
    lock : dict
        Those stages' entries of dvc.lock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    remote: dict[str, Any]
    needs: list[str]
    lock: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the worker's repository, which is not a git checkout."""
        return {"core": {"no_scm": True, "remote": "run"}, "remote": {"run": self.remote}}


def fetch_inputs(repo: Any, transfer: Transfer) -> None:
    """Bring a worker's checkout into the state in which its stage can run."""
    from dvc.utils.serialize import dump_yaml

    dump_yaml(str(Path(repo.root_dir) / _LOCK), {"schema": "2.0", "stages": transfer.lock})
    repo.pull(targets=transfer.needs)


def publish_outputs(repo: Any, stage: str) -> dict[str, Any]:
    """Send a stage's outputs to the remote; return its entry of dvc.lock."""
    repo.push(targets=[stage])
    return dict(_locked(Path(repo.root_dir))[stage])


class Remote:
    """The remote of a run, as the machine that started the run uses it.

    Parameters
    ----------
    repo : dvc.repo.Repo
        See `pipeline.cluster.reproduce.open_repository`.
    name : str
        A remote of this project.

    Raises
    ------
    ConfigError
        When there is no such remote, or it cannot be reached.
    """

    def __init__(self, repo: Any, name: str) -> None:
        from dvc.exceptions import DvcException

        self._repo, self._name = repo, name
        known = repo.config["remote"]
        if name not in known:
            raise ConfigError(
                "unknown remote", where="--remote", value=name, hint=nearest(name, known)
            )
        try:
            odb = repo.cloud.get_remote_odb(name)
            _require_room(odb)
        except (DvcException, OSError, ImportError) as error:
            raise ConfigError(
                f"the remote cannot be used ({one_line(str(error))})",
                where="--remote",
                value=name,
                hint="make `dvc push -r NAME` work first",
            ) from error
        self.packages = tuple(odb.fs.REQUIRES)
        """Packages by which DVC accesses the remote; every machine needs them."""
        self._config = dict(known[name])
        if odb.fs.protocol == "local":  # relative paths are those of this machine
            self._config["url"] = repo.cloud.get_remote(name).path
        self._there: set[str] = set()

    def transfer(self, needs: Sequence[str]) -> Transfer:
        """Send what a stage needs, unless the remote has it; return what its worker has to know."""
        missing = [name for name in needs if name not in self._there]
        if missing:
            self._repo.push(targets=missing, remote=self._name)
            self._there.update(missing)
        lock = _locked(Path(self._repo.root_dir))
        entries = {name: lock[name] for name in needs}
        return Transfer(remote=self._config, needs=list(needs), lock=entries)

    def bring_back(self, stage: str, entry: Mapping[str, Any]) -> None:
        """Adopt what a worker made: the entry of dvc.lock, cache, run cache and files."""
        from dvc.repo import lock_repo
        from dvc.utils.serialize import modify_yaml

        repo = self._repo
        with lock_repo(repo), modify_yaml(str(Path(repo.root_dir) / _LOCK)) as data:
            data.setdefault("schema", "2.0")
            data.setdefault("stages", {})[stage] = dict(entry)
        repo.pull(targets=[stage], remote=self._name, force=True)
        with lock_repo(repo):
            repo.stage_cache.save(repo.stage.load_one(name=stage))
        self._there.add(stage)


def _require_room(odb: Any) -> None:
    """Make sure that the remote's folder or bucket exists.

    A missing folder is created, a bucket is not: a misspelled name could cost someone money. DVC
    itself would notice only after sending all it can.

    Raises
    ------
    OSError
        When it does not exist, or cannot be reached.
    """
    from dvc_objects.fs.base import ObjectFileSystem

    if not isinstance(odb.fs, ObjectFileSystem):
        odb.fs.makedirs(odb.path, exist_ok=True)
        return
    bucket = odb.fs.parts(odb.path)[0]
    if not odb.fs.exists(bucket):
        raise FileNotFoundError(f"bucket {bucket} does not exist, or cannot be read")


def source_files(root: Path) -> dict[str, bytes]:
    """Return files that git has or would add, by path: code, params, shipped weights and data."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    names = sorted({name for name in listed.decode().split("\0") if name} - {_LOCK})
    # A file that git lists may have been deleted.
    return {name: (root / name).read_bytes() for name in names if (root / name).is_file()}


def _locked(root: Path) -> dict[str, Any]:
    """Return the stages of dvc.lock."""
    from dvc.utils.serialize import load_yaml

    path = root / _LOCK
    return dict(load_yaml(path).get("stages", {})) if path.is_file() else {}
