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
    from fedmvp.federation.flare.settings import settings_of

    settings = settings_of(
        load_params(ROOT / "fedmvp/profiles/default.yaml"),
        "promptfl",
        name="fed",
        host="localhost",
        port=8002,
        sites=("north", "south", "east"),
        seed=1,
    )
    folder = tmp_path_factory.mktemp("federation") / "fed"
    create_federation(folder, settings)
    return folder
