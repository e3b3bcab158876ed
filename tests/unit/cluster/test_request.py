"""Options that do not go together, told before anything starts."""

from __future__ import annotations

import pytest

from fedmvp.errors import ConfigError
from pipeline.cluster.request import Request


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"remote": "storage"}, ("--remote", "use it together with --address")),
        ({"address": "auto", "gpus": "0"}, ("--gpus", "Ray assigns the GPUs")),
        ({"address": "auto", "memory_gib": 3.0}, ("--memory", "Ray assigns")),
    ],
)
def test_options_that_do_not_go_together(
    options: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Request.model_validate(options)
    assert all(word in str(caught.value) for word in words)


def test_a_cluster_with_a_remote() -> None:
    assert Request(address="auto", remote="storage", jobs=4).remote == "storage"
