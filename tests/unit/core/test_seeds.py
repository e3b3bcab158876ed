"""Generators by name: equal words, equal streams; different words, different streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmvp.seeds import derive, numpy_generator, torch_generator

Key = st.lists(st.one_of(st.text(max_size=8), st.integers(-5, 500)), max_size=4)


@given(st.integers(0, 99), st.text(max_size=8), Key)
def test_seeds_fit_torch_and_numpy(seed: int, purpose: str, key: list[str | int]) -> None:
    value = derive(seed, purpose, *key)
    assert 0 <= value < 2**63
    assert value == derive(seed, purpose, *key)


@given(Key, Key)
def test_keys_do_not_run_together(one: list[str | int], other: list[str | int]) -> None:
    """("ab", "c") is not ("a", "bc"), and "1" is not 1."""
    equal = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (derive(1, "p", *one) == derive(1, "p", *other)) == equal


def test_streams_are_pinned() -> None:
    """Results of a seed must not change with the platform or a release."""
    assert derive(1, "shots", "animals", 3) == 767_443_833_600_165_467
    assert numpy_generator(1, "batches", "a", 0).permutation(6).tolist() == [0, 1, 3, 2, 5, 4]


def test_purposes_do_not_share_a_stream() -> None:
    drawn = {
        tuple(numpy_generator(seed, purpose, "a", index).integers(0, 2**60, 2))
        for seed in (1, 2)
        for purpose in ("batches", "cohort")
        for index in (0, 1)
    }
    assert len(drawn) == 8


@pytest.mark.parametrize("make", [numpy_generator, torch_generator])
def test_each_call_starts_the_stream_anew(make: object) -> None:
    import torch

    def draw() -> list[float]:
        generator = make(1, "p")
        if isinstance(generator, torch.Generator):
            return torch.rand(3, generator=generator).tolist()
        return generator.random(3).tolist()

    assert draw() == draw()
