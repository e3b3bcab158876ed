"""The partition schemes, by name: rules that deal images to clients.

A new scheme needs a module here and a line below.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from fedmvp.errors import ConfigError
from fedmvp.partition.schemes.base import Pool, Scheme, Share
from fedmvp.partition.schemes.by_domain import ByDomain
from fedmvp.partition.schemes.class_blocks import ClassBlocks
from fedmvp.partition.schemes.dirichlet import Dirichlet
from fedmvp.partition.schemes.dirichlet_capped import DirichletCapped
from fedmvp.partition.schemes.domain_dirichlet import DomainDirichlet
from fedmvp.partition.schemes.fedmpt_clusters import FedmptClusters
from fedmvp.partition.schemes.few_shot_disjoint import FewShotDisjoint
from fedmvp.partition.schemes.iid import Iid
from fedmvp.partition.schemes.label_clusters import LabelClusters
from fedmvp.partition.schemes.one_client import OneClient
from fedmvp.partition.schemes.pachinko import Pachinko
from fedmvp.partition.schemes.pathological import Pathological
from fedmvp.partition.schemes.quantity import Quantity
from fedmvp.partition.schemes.shards import Shards
from fedmvp.sections import parse_section

__all__ = ["SCHEMES", "Pool", "Scheme", "Share", "parse_scheme"]

SCHEMES: dict[str, type[Scheme]] = {
    "class_blocks": ClassBlocks,
    "few_shot_disjoint": FewShotDisjoint,
    "dirichlet": Dirichlet,
    "dirichlet_capped": DirichletCapped,
    "pachinko": Pachinko,
    "shards": Shards,
    "pathological": Pathological,
    "iid": Iid,
    "quantity": Quantity,
    "by_domain": ByDomain,
    "domain_dirichlet": DomainDirichlet,
    "label_clusters": LabelClusters,
    "fedmpt_clusters": FedmptClusters,
    "one_client": OneClient,
}


def parse_scheme(
    value: str | Mapping[str, Any], where: str, *, classes_per_client: int
) -> tuple[str, Scheme]:
    """Return the name and the rule that a ``scheme`` entry gives.

    Parameters
    ----------
    value : str or mapping
        A name, or ``{name: …}`` with the rule's parameters.
    classes_per_client : int
        Parameter of `class_blocks` if the entry does not give it.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest known one, or a parameter that is not allowed.
    """
    entries = {"name": value} if isinstance(value, str) else dict(value)
    name = entries.pop("name", None)
    if not isinstance(name, str) or name not in SCHEMES:
        near = difflib.get_close_matches(str(name), SCHEMES, 1) if name else []
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            "unknown partition scheme",
            where=where,
            value=name,
            hint=f"{hint}choose from: {', '.join(SCHEMES)}",
        )
    if SCHEMES[name] is ClassBlocks:
        entries = {"classes_per_client": classes_per_client, **entries}
    return name, parse_section(SCHEMES[name], entries, where)
