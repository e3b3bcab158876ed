"""Places of this machine, and places it does not have."""

from __future__ import annotations

import pytest
import torch

from fedmvp.errors import ConfigError
from pipeline.cluster.places import local_places, machine_memory_gib
from pipeline.cluster.request import gpu_numbers


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cluster.places._cores", lambda: 4)
    for name in ("FEDMVP_THREADS", "FEDMVP_DETERMINISM"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_number_there_are_as_many_as_cores_for_their_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = local_places(None, [], None)
    assert [place.name for place in places] == ["cpu 1", "cpu 2"]
    # Threads decide the order of sums: without --threads they stay those of `dvc repro`.
    assert all(place.environment == {} for place in places)
    assert len(local_places(None, [], 1)) == 4
    monkeypatch.setenv("FEDMVP_THREADS", "8")
    assert len(local_places(None, [], None)) == 1


def test_threads_go_into_the_environment() -> None:
    assert local_places(2, [], 1)[1].environment == {"FEDMVP_THREADS": "1"}


@pytest.mark.usefixtures("four_gpus")
def test_a_stage_for_each_gpu() -> None:
    places = local_places(None, [0, 3], None)
    assert [(place.name, place.environment) for place in places] == [
        ("cuda:0", {"FEDMVP_DEVICE": "cuda:0"}),
        ("cuda:3", {"FEDMVP_DEVICE": "cuda:3"}),
    ]


@pytest.mark.usefixtures("four_gpus")
def test_more_jobs_than_gpus_share_them() -> None:
    names = [place.name for place in local_places(4, [0, 1], None)]
    assert names == ["cuda:0 a", "cuda:1 a", "cuda:0 b", "cuda:1 b"]


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("jobs", "gpus", "words"),
    [
        (None, [0, 4], ("this machine has 4 GPUs", "cuda:4", "--gpus")),
        (None, [1, 1], ("a GPU is named twice", "1,1")),
        (1, [0, 1], ("2 GPUs, but stages for only 1 of them", "--jobs")),
    ],
)
def test_gpus_that_cannot_be_used(
    jobs: int | None, gpus: list[int], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        local_places(jobs, gpus, None)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("word", ["0,", "a", "-1", "0 1", "99999"])
def test_what_is_no_list_of_gpus(word: str) -> None:
    with pytest.raises(ConfigError, match="not a list of GPUs"):
        gpu_numbers(word)


def test_numbers_of_gpus() -> None:
    assert gpu_numbers(None) == []
    assert gpu_numbers("0, 3") == [0, 3]


def test_wrong_threads_are_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMVP_THREADS", "many")
    with pytest.raises(ConfigError, match="FEDMVP_THREADS"):
        local_places(None, [], None)


def test_this_machine_has_memory() -> None:
    assert machine_memory_gib() > 0.5
