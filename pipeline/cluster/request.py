"""What `fedmvp run` was asked for, as the command line hands it on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fedmvp.errors import ConfigError

__all__ = ["Request", "gpu_numbers"]


class Request(BaseModel):
    """The options of `fedmvp run`; see there.

    Parameters
    ----------
    targets : list of str
        Empty: everything.
    memory_gib : float, optional
        None: what the machine has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: list[str] = []
    jobs: int | None = None
    gpus: str | None = None
    threads: int | None = None
    memory_gib: float | None = None
    dry_run: bool = False


def gpu_numbers(text: str | None) -> list[int]:
    """Return the numbers in ``0,1,3``; none of None.

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
