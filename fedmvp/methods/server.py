"""What some methods need of the server beside the average of what clients send.

The round loop asks it four things (docs/method.md#server-hook). All it knows stands in `state`,
which every checkpoint holds, so a resumed run goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["MethodServer"]


class MethodServer:
    """The server of a method that needs nothing of it, and the base of the others.

    Attributes
    ----------
    state : dict of str to Tensor
        All that is kept from round to round.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    def download(self, client: str) -> dict[str, Tensor]:
        """Return what this client alone is sent, tensors of the method by name.

        Asked for the whole cohort before any of it trains, so that no client's result depends on
        its place in the round.
        """
        return {}

    def receive(self, client: str, tensors: Mapping[str, Tensor]) -> None:
        """Take note of a usable update, as it was sent."""

    def end_round(self, tensors: Mapping[str, Tensor], round_index: int) -> None:
        """Take note of the global tensors after round `round_index`, counted from 0."""

    def evaluated(self, tensors: Mapping[str, Tensor], round_index: int) -> dict[str, Tensor]:
        """Return what is evaluated of the global tensors after a round, most often the last."""
        return dict(tensors)
