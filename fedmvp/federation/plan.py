"""What a server and its sites agree on before training: one file; each of them has a copy.

A site builds its method from its own copy and never from a message, so a server cannot make it
train anything else. Hashes, field by field, show whether the copies are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

import fedmvp
from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams, Section, parse_section
from fedmvp.errors import ConfigError
from fedmvp.federation.aggregation.robust import require_tolerance
from fedmvp.files import read_json, sha256_json, write_json
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.build import (
    build_method,
    load_method,
    method_params,
    require_head,
    resolved_federation,
)
from fedmvp.multilabel_config import MultiLabelParams

__all__ = [
    "Plan",
    "PlanBackbone",
    "describe",
    "load_plan",
    "require_agreement",
    "require_possible",
    "save_plan",
]


class PlanBackbone(Section):
    """The frozen CLIP that the server and all sites use."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of weights.safetensors.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="As `backbone.precision` of params.yaml."
    )
    linear: Literal["matmul", "convolution"] = Field(
        default="matmul", description="As `backbone.linear` of params.yaml."
    )


class Plan(Section):
    """A federation of sites."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$",
        description="Name of the federation; states and checkpoints are kept under it.",
    )
    method: str = Field(min_length=1, description="`fedmvp methods` lists them.")
    section: dict[str, Any] = Field(
        default_factory=dict, description="The method's section of params.yaml."
    )
    federation: FederationParams = Field(
        description="The section `federation` of params.yaml, whole."
    )
    seed: int = Field(ge=0, description="Seed of initial tensors, cohorts, batches and views.")
    clients: tuple[str, ...] = Field(
        min_length=1, description="The sites, in the order in which their updates are added."
    )
    backbone: PlanBackbone = Field(description="Its section is below.")
    multilabel: MultiLabelParams | None = Field(
        default=None,
        description="The section `multilabel` of params.yaml, whole, where images show many "
        "classes; null where they show one.",
    )
    forwards_updates: bool = Field(
        default=False,
        description="Whether sites agree that single sites' updates are sent to other sites as "
        "they are.",
    )

    @model_validator(mode="after")
    def _sound(self) -> Plan:
        if len(set(self.clients)) != len(self.clients):
            raise ValueError("clients names a site twice")
        if not all(self.clients):
            raise ValueError("clients contains an empty name")
        return self

    def params(self) -> MethodParams:
        """Return the method's section.

        Raises
        ------
        ConfigError
            For an unknown method or entry.
        """
        return method_params(self.method, self.section)

    def resolved(self) -> FederationParams:
        """Return the federation section, overridden by the method's own."""
        return resolved_federation(self.method, self.params(), self.federation)

    def create(self, backbone: Backbone) -> Method:
        """Return the method with its initial tensors, the same at the server and every site."""
        return build_method(self.method, backbone, self.params(), self.seed, self.multilabel)


def load_plan(path: Path) -> Plan:
    """Read what `save_plan` wrote.

    Raises
    ------
    DataError
        When the file is missing or not JSON.
    ConfigError
        Naming the entry that is wrong.
    """
    return parse_section(Plan, read_json(path, "copy it from the start-up kit again"), str(path))


def save_plan(path: Path, plan: Plan) -> None:
    """Write a plan as JSON."""
    write_json(path, plan.model_dump(mode="json"))


def require_possible(plan: Plan) -> None:
    """Refuse what a federation of sites cannot do, before any site is asked.

    The check uses what a method declares, so a new method needs no entry here.

    Raises
    ------
    ConfigError
        Naming the rule or method, and the reason.
    """
    method, where = load_method(plan.method), f"plan {plan.name}: method"
    if not method.trained:
        raise ConfigError(
            "trains nothing, so there is nothing to federate",
            where=where,
            value=plan.method,
            hint="evaluate it at each site by itself, or name a method that learns",
        )
    if method.forwards_updates and not plan.forwards_updates:
        raise ConfigError(
            "sends single sites' updates to other sites as they are, not only averages",
            where=where,
            value=plan.method,
            hint="set forwards_updates: true if every site agrees, or choose another method",
        )
    federation = plan.resolved()
    if plan.multilabel is not None:
        require_head(plan.method, plan.multilabel)
        if federation.privacy is not None:
            raise ConfigError(
                "images of many labels need sums at the start, which sites send without noise",
                where=f"plan {plan.name}: federation.privacy",
                hint="set privacy: null, or train on images of one class each",
            )
    if federation.min_clients > len(plan.clients):
        raise ConfigError(
            f"more than the {len(plan.clients)} sites there are",
            where=f"plan {plan.name}: federation.min_clients",
            value=federation.min_clients,
            hint="lower it",
        )
    require_tolerance(federation, len(plan.clients), "all")


def describe(plan: Plan, backbone_sha256: str) -> dict[str, str]:
    """Return what must be the same at the server and every site: versions and hashes.

    Parameters
    ----------
    backbone_sha256 : str
        Hash of the weights on this side (``BackboneSpec.tower_sha256``).
    """
    section = plan.params().resolved()
    return {
        "package": fedmvp.__version__,
        "run": plan.name,
        "backbone": backbone_sha256,
        "arithmetic": f"{plan.backbone.precision} {plan.backbone.linear}",
        "method": sha256_json([plan.method, section]),
        "federation": sha256_json(plan.resolved().model_dump(mode="json")),
        "seed": sha256_json(plan.seed),
        "clients": sha256_json(list(plan.clients)),
        "forwards_updates": sha256_json(plan.forwards_updates),
        "multilabel": sha256_json(plan.multilabel and plan.multilabel.model_dump(mode="json")),
    }


def require_agreement(ours: Mapping[str, str], theirs: Mapping[str, str], client: str) -> None:
    """Refuse a site whose plan, software or weights differ.

    Raises
    ------
    ConfigError
        Naming the first field that differs.
    """
    for field in [*ours, *(name for name in theirs if name not in ours)]:
        if ours.get(field) != theirs.get(field):
            raise ConfigError(
                f"{field} differs from the server's, {ours.get(field, 'none')}",
                where=f"site {client}",
                value=theirs.get(field, "none"),
                hint=_WAYS.get(field, "give the site the plan of its start-up kit again"),
            )


_WAYS = {
    "package": "install the same version of fedmvp at the site",
    "backbone": "give the site the weights of this CLIP model",
}
