"""The options of `fedmvp run`, as the command line passes them to this package."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from fedmvp.errors import ConfigError

__all__ = ["Request", "gpu_numbers"]


class Request(BaseModel):
    """The options of `fedmvp run`; see there.

    Parameters
    ----------
    targets : list of str
        Stages to run; empty: all.
    memory_gib : float, optional
        Memory that stages may take together; None: what the machine has.
    address : str, optional
        Address of a Ray cluster; None: this machine.
    remote : str, optional
        DVC remote through which inputs and outputs are sent; None: the machines share this disk.
    sweep : str, optional
        File of a sweep, whose trials run instead of stages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: list[str] = []
    jobs: int | None = None
    gpus: str | None = None
    threads: int | None = None
    memory_gib: float | None = None
    dry_run: bool = False
    address: str | None = None
    remote: str | None = None
    sweep: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Request:
        if self.address is None and self.remote is not None:
            raise ConfigError(
                "a run on this machine needs no remote",
                where="--remote",
                value=self.remote,
                hint="use it together with --address",
            )
        for option, value in (("--gpus", self.gpus), ("--memory", self.memory_gib)):
            if self.address is not None and value is not None:
                raise ConfigError(
                    "Ray assigns the GPUs and the memory of a cluster",
                    where=option,
                    value=value,
                    hint="leave it out; more --jobs than GPUs share them",
                )
        for option, given in (("--address", self.address), ("TARGETS", self.targets or None)):
            if self.sweep is not None and given is not None:
                raise ConfigError(
                    "a trial runs the whole pipeline, on this machine",
                    where=option,
                    value=given,
                    hint="leave it out with --sweep",
                )
        return self


def gpu_numbers(text: str | None) -> list[int]:
    """Return the numbers in ``0,1,3``; an empty list for None.

    Raises
    ------
    ConfigError
        When it is anything else.
    """
    if text is None:
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and len(word) < 5 for word in words):
        raise ConfigError(
            "not a list of GPUs",
            where="--gpus",
            value=text,
            hint="give their numbers, separated by commas: --gpus 0,1",
        )
    return [int(word) for word in words]
