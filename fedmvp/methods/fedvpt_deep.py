"""FedVPT with prompts of their own in every block (docs/method.md#fedvpt)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedmvp.methods.base import MethodParams
from fedmvp.methods.fedvpt import FedVPT, FedVPTParams

__all__ = ["FedVPTDeep", "FedVPTDeepParams"]


class FedVPTDeepParams(FedVPTParams):
    """``methods.fedvpt_deep`` of params.yaml."""

    depth: int | None = Field(
        default=None, ge=1, description="D, blocks with prompts of their own; null: all."
    )


class FedVPTDeep(FedVPT):
    """FedVPT whose `depth` is the whole image tower unless given."""

    Params: ClassVar[type[MethodParams]] = FedVPTDeepParams
