"""What a server and its sites agree on before anybody trains: one file, of which each holds a copy.

A site builds its method from its own copy and never from a message, so a server cannot have it
train anything else. That the copies are the same is seen by hashes, field by field.
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
    """The frozen CLIP that everybody has."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of weights.safetensors.")
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
        description="Of the run: states and checkpoints are kept under it.",
    )
    method: str = Field(min_length=1, description="`fedmvp methods` lists them.")
    section: dict[str, Any] = Field(
        default_factory=dict, description="The method's section of params.yaml."
    )
    federation: FederationParams = Field(
        description="The section `federation` of params.yaml, whole."
    )
    seed: int = Field(ge=0, description="Of initial tensors, cohorts, batches and views.")
    clients: tuple[str, ...] = Field(min_length=1, description="The sites, in the order of sums.")
    backbone: PlanBackbone = Field(description="Its section is below.")
    multilabel: MultiLabelParams | None = Field(
        default=None,
        description="The section `multilabel` of params.yaml, whole, where images show many "
        "classes; null: one.",
    )
    forwards_updates: bool = Field(
        default=False,
        description="Whether sites agree to be sent what single other sites learned, as it is.",
    )

    @model_validator(mode="after")
    def _sound(self) -> Plan:
        if len(set(self.clients)) != len(self.clients):
            raise ValueError("clients names a site twice")
        if not all(self.clients):
            raise ValueError("clients holds an empty name")
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
        """Return the federation section with the method's overrides."""
        return resolved_federation(self.method, self.params(), self.federation)

    def create(self, backbone: Backbone) -> Method:
        """Return the method with its initial tensors, the same for everybody."""
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
    return parse_section(Plan, read_json(path, "take the start-up kit anew"), str(path))


def save_plan(path: Path, plan: Plan) -> None:
    """Write a plan as JSON."""
    write_json(path, plan.model_dump(mode="json"))


def require_possible(plan: Plan) -> None:
    """Refuse what a federation of sites cannot do, before a site is asked.

    It goes by what a method declares, so a new method needs no entry here.

    Raises
    ------
    ConfigError
        Saying which rule or method, and why.
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
            "sends what one site learned to other sites as it is, and not averages alone",
            where=where,
            value=plan.method,
            hint="set forwards_updates: true if every site agrees, or choose another method",
        )
    federation = plan.resolved()
    if plan.multilabel is not None:
        require_head(plan.method, plan.multilabel)
        if federation.privacy is not None:
            raise ConfigError(
                "images of many labels start from sums that sites send without noise",
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
    """Return what must be the same everywhere: a version, and hashes of the rest.

    Parameters
    ----------
    backbone_sha256 : str
        Of the weights this side has (``BackboneSpec.tower_sha256``).
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
    """Refuse a site that would train with something else.

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
