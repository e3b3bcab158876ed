"""Every method there is keeps the contract, with its section of params.yaml and its variants."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import yaml

from fedmvp.clip.backbone import Backbone
from fedmvp.methods import METHODS
from tests.contracts.case import Case
from tests.contracts.method_contract import CHECKS
from tests.paths import ROOT
from tests.random_clip import random_backbone

pytestmark = pytest.mark.usefixtures("words")

#: Sections beside the default one that change what travels or what is computed.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "fedmvp official-code": ("fedmvp", {"variant": "official-code"}),
    "fedmvp image": ("fedmvp", {"conditioning": "image"}),
    "fedmvp text": ("fedmvp", {"conditioning": "text"}),
    "fedmvp names": ("fedmvp", {"attr_bank": "names", "classifier": "template"}),
    "fedpgp template": ("fedpgp", {"anchor": "template"}),
    "fedmgp together": ("fedmgp", {"diversity": "together"}),
    "fedmgp random": ("fedmgp", {"context_init": None, "groups": 3, "shared_groups": 1}),
    "fedmvp random": ("fedmvp", {"attr_bank": "random", "classifier": "concat"}),
}


@cache
def sections() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return each method with its section of params.yaml, and the variants."""
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["methods"]
    return {name: (name, shipped.get(name, {})) for name in METHODS} | VARIANTS


@pytest.fixture(scope="module")
def cases() -> Callable[[str], Case]:
    """Return a method's case; four blocks, the depth of PictoCLIP."""
    backbone: Backbone = random_backbone("tiny", layers=4)
    return cache(lambda key: Case(*sections()[key], backbone))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("key", sections())
def test_contract(key: str, check: Callable[[Case], None], cases: Callable[[str], Case]) -> None:
    check(cases(key))
