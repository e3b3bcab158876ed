"""A Ray cluster on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.paths import ROOT

_NICENESS = "RAY_worker_niceness"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two nodes of one CPU each, and a head without any."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        if _NICENESS not in os.environ:
            patch.setenv(_NICENESS, "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        small = {"object_store_memory": 100 << 20}
        head = {"num_cpus": 0, "include_dashboard": False, **small}
        made = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            made.add_node(num_cpus=1, **small)
        yield made
        made.shutdown()
