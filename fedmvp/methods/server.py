"""What some methods need from the server in addition to the average of the updates.

The round loop calls its four methods (docs/method.md#server-hook). All it knows is in `state`,
which every checkpoint contains, so a resumed run continues as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["MethodServer"]


class MethodServer:
    """The server-side part of a method that needs none, and the base class of the others.

    Attributes
    ----------
    state : dict of str to Tensor
        All that is kept from round to round.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    def download(self, client: str) -> dict[str, Tensor]:
        """Return what is sent to this client alone: tensors of the method, by name.

        This is called for the whole cohort before any client of it trains, so that no client's
        result depends on its place in the round.
        """
        return {}

    def receive(self, client: str, tensors: Mapping[str, Tensor]) -> None:
        """Process a usable update, as it was sent."""

    def end_round(self, tensors: Mapping[str, Tensor], round_index: int) -> None:
        """Process the global tensors after round `round_index`, counted from 0."""

    def evaluated(self, tensors: Mapping[str, Tensor], round_index: int) -> dict[str, Tensor]:
        """Return the tensors to evaluate after a round, given the global ones."""
        return dict(tensors)
