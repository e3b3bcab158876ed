"""federation.yaml: what is trained, who takes part, how long is waited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints, model_validator

from fedmvp.config import BackboneParams, FederationParams, Params
from fedmvp.federation.flare.layout import Organiser
from fedmvp.files import write_text
from fedmvp.methods.build import method_params, resolved_federation
from fedmvp.sections import Float, Section, parse_section
from fedmvp.yaml_files import load_yaml

__all__ = ["FederationSettings", "SiteName", "read_settings", "settings_of", "write_settings"]

# What a certificate, a folder and FLARE take alike.
SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
_RESERVED = ("server", "localhost")


class FederationSettings(Section):
    """federation.yaml."""

    name: SiteName = Field(description="Of the federation; the name of its CA.")
    host: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$",
        description="Of the server, as sites reach it and as its certificate says.",
    )
    port: int = Field(ge=1, le=65535, description="The only one that is open, on the server.")
    sites: tuple[SiteName, ...] = Field(min_length=1, description="The agreed ones, in order.")
    minimum_sites: int = Field(ge=1, description="Fewest to begin with, and to go on with.")
    wait_s: Float = Field(gt=0, description="For the agreed sites, before a start without some.")
    round_deadline_s: Float = Field(gt=0, description="For a site's answer in a round.")
    seed: int = Field(ge=0)
    method: str = Field(description="A name that `fedmvp methods` shows.")
    section: dict[str, Any] = Field(description="The method's own, as in params.yaml.")
    federation: FederationParams
    backbone: BackboneParams

    @model_validator(mode="after")
    def _sound(self) -> FederationSettings:
        if len(set(self.sites)) != len(self.sites):
            raise ValueError("sites names one twice")
        if taken := sorted({*_RESERVED, self.host.lower()} & set(self.sites)):
            raise ValueError(f"sites names {taken[0]!r}, which is the server")
        if self.minimum_sites > len(self.sites):
            raise ValueError("minimum_sites is more than there are sites")
        return self


def settings_of(
    params: Params,
    method: str,
    *,
    name: str,
    host: str,
    port: int,
    sites: tuple[str, ...],
    seed: int,
    minimum_sites: int | None = None,
    rounds: int | None = None,
) -> FederationSettings:
    """Return the settings of a new federation, trained as params.yaml says.

    All agreed sites take part in each round, and one that fails is left out of it.

    Raises
    ------
    ConfigError
        For an unknown method or an impossible entry.
    """
    section = method_params(method, params.methods.get(method, {}))
    shared = resolved_federation(method, section, params.federation)
    changes: dict[str, Any] = {
        "participation": 1.0,
        "on_client_failure": "skip",
        "min_clients": minimum_sites or _majority(len(sites)),
    }
    if rounds is not None:
        changes["rounds"] = rounds
    value = {
        "name": name,
        "host": host,
        "port": port,
        "sites": list(sites),
        "minimum_sites": minimum_sites or _majority(len(sites)),
        "wait_s": 600.0,
        "round_deadline_s": 600.0,
        "seed": seed,
        "method": method,
        "section": section.resolved(),
        "federation": {**shared.model_dump(mode="json"), **changes},
        "backbone": params.backbone.model_dump(mode="json"),
    }
    return parse_section(FederationSettings, value, "fedmvp federation init")


def _majority(sites: int) -> int:
    return sites // 2 + 1


def read_settings(organiser: Organiser) -> FederationSettings:
    """Read federation.yaml and check the method's section.

    Raises
    ------
    ConfigError
        Naming the key, its value and what is allowed.
    """
    where = organiser.settings
    settings = parse_section(FederationSettings, load_yaml(where), where.name)
    section = method_params(settings.method, settings.section)
    resolved_federation(settings.method, section, settings.federation)
    return settings


def write_settings(path: Path, settings: FederationSettings) -> None:
    """Write federation.yaml."""
    text: str = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, width=100)
    write_text(path, f"# The federation. Who may change it: the organiser, between runs.\n{text}")
