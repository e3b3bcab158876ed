"""federation.yaml (the server's address and time limits), and the plan of a new federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints

from fedmvp.config import Params
from fedmvp.data.manifest import Task
from fedmvp.errors import ConfigError
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.plan import Plan, require_possible
from fedmvp.files import write_text
from fedmvp.methods.build import method_params, resolved_federation
from fedmvp.sections import Float, Section, parse_section
from fedmvp.yaml_files import load_yaml

__all__ = [
    "FederationSettings",
    "new_plan",
    "read_settings",
    "require_site_names",
    "write_settings",
]

# Names that a certificate, a folder and FLARE all accept.
_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_Name = Annotated[str, StringConstraints(pattern=_NAME)]
_RESERVED = ("server", "organiser", "localhost")


class FederationSettings(Section):
    """federation.yaml."""

    authority: _Name = Field(description="Name of the CA.")
    host: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$",
        description="Of the server, as sites reach it and as its certificate says.",
    )
    port: int = Field(ge=1, le=65535, description="The server's only open port.")
    wait_s: Float = Field(
        default=600.0,
        gt=0,
        description="Seconds to wait for all sites before starting without some.",
    )
    rejoin_s: Float = Field(
        default=60.0, gt=0, description="Seconds to wait for sites to reconnect before a later job."
    )
    round_deadline_s: Float = Field(
        default=600.0, gt=0, description="Seconds to wait for a site's answer in a round."
    )


class _SiteNames(Section):
    site: tuple[_Name, ...] = Field(min_length=1)


def require_site_names(names: tuple[str, ...], host: str) -> None:
    """Refuse names that a certificate, a folder or FLARE would not accept.

    Raises
    ------
    ConfigError
        Naming the first such name.
    """
    where = "fedmvp federation init"
    parse_section(_SiteNames, {"site": list(names)}, where)
    if taken := sorted({*_RESERVED, host.lower()} & set(names)):
        raise ConfigError(
            "is the name of the server",
            where=f"{where}: --site",
            value=taken[0],
            hint="name the site after its town or institution",
        )


def new_plan(
    params: Params,
    method: str,
    *,
    name: str,
    sites: tuple[str, ...],
    seed: int,
    backbone_sha256: str,
    rounds: int | None = None,
    minimum_sites: int | None = None,
    task: Task = "single",
) -> Plan:
    """Return the plan of a new federation: a method with its section of params.yaml.

    All sites take part in each round. A site that fails is left out of the round; more than half
    must answer.

    Parameters
    ----------
    task : {"single", "multi"}
        Whether images show one class each or many; with many, the plan includes the section
        `multilabel`.

    Raises
    ------
    ConfigError
        For an unknown method, or an entry that a federation of sites cannot have.
    """
    section = method_params(method, params.methods.get(method, {}))
    shared = resolved_federation(method, section, params.federation)
    own = section.resolved()
    changes: dict[str, Any] = {
        "participation": 1.0,
        "on_client_failure": "skip",
        "min_clients": minimum_sites or len(sites) // 2 + 1,
    }
    if rounds is not None:
        changes["rounds"] = rounds
        own = {**own, "federation": {k: v for k, v in _overrides(own).items() if k != "rounds"}}
    value = {
        "name": name,
        "method": method,
        "section": own,
        "federation": {**shared.model_dump(mode="json"), **changes},
        "seed": seed,
        "clients": list(sites),
        "backbone": {
            "sha256": backbone_sha256,
            "precision": params.backbone.precision,
            "linear": params.backbone.linear,
        },
        "multilabel": params.multilabel.model_dump(mode="json") if task == "multi" else None,
    }
    plan = parse_section(Plan, value, "fedmvp federation init")
    require_possible(plan)
    return plan


def _overrides(section: dict[str, Any]) -> dict[str, Any]:
    return dict(section.get("federation") or {})


def read_settings(organiser: Organiser) -> FederationSettings:
    """Read federation.yaml.

    Raises
    ------
    ConfigError
        Naming the key, its value and what is allowed.
    """
    where = organiser.settings
    return parse_section(FederationSettings, load_yaml(where), where.name)


def write_settings(path: Path, settings: FederationSettings) -> None:
    """Write federation.yaml."""
    text: str = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, width=100)
    write_text(path, f"# The server and its time limits; plan.json says what is trained.\n{text}")
