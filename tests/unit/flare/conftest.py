"""A federation's folder with the kits of three sites, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paths import ROOT


@pytest.fixture(scope="session")
def federation_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as `fedmvp federation init` makes it."""
    pytest.importorskip("nvflare")
    from fedmvp.config import load_params
    from fedmvp.federation.flare.kit import create_federation
    from fedmvp.federation.flare.settings import FederationSettings, new_plan
    from fedmvp.files import read_json
    from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone

    params = load_params(ROOT / "fedmvp/profiles/default.yaml")
    backbone = prepare_backbone(BackboneChoice("pictoclip"))
    spec = read_json(backbone / "spec.json")
    plan = new_plan(
        params,
        "promptfl",
        name="fedmvp",
        sites=("north", "south", "far-east"),
        seed=1,
        backbone_sha256=spec["tower_sha256"],
    )
    settings = FederationSettings(authority="fed", host="localhost", port=8002)
    folder = tmp_path_factory.mktemp("federation") / "fed"
    create_federation(folder, settings, plan, backbone)
    return folder
