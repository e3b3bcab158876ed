"""How a stage ended, as its worker reports it to the loop that started it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Outcome"]


class Outcome(BaseModel):
    """The end of one attempt at a stage.

    Parameters
    ----------
    kind : str
        ``ran``; ``restored`` from DVC's cache; ``unchanged``; ``failed`` with an error; ``died``:
        the worker, its machine or the stage's process was killed, so another attempt may succeed.
    message : str
        The reason for a failure.
    locked : dict, optional
        The stage's entry of dvc.lock, from a worker with its own checkout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ran", "restored", "unchanged", "failed", "died"]
    message: str = ""
    locked: dict[str, Any] | None = None

    @property
    def good(self) -> bool:
        """Whether the stage is up to date now."""
        return self.kind in ("ran", "restored", "unchanged")
