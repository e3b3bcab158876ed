"""Federated averaging: hand-derived numbers, exactness, refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedmvp.errors import ClientFailure
from fedmvp.federation.aggregation.rules import check_update, federated_average
from fedmvp.federation.client import ClientUpdate


def update(client: str, images: int = 1, **tensors: Tensor) -> ClientUpdate:
    return ClientUpdate(client, tensors, images, "all", {}, 0)


def test_uniform_and_weighted_means() -> None:
    """Updates 1 and 4 of clients with 1 and 3 images: 2.5, or (1 + 12) / 4 = 3.25."""
    updates = [update("a", 1, w=torch.tensor([1.0])), update("b", 3, w=torch.tensor([4.0]))]
    current = {"w": torch.zeros(1)}
    assert federated_average(current, updates)["w"].item() == 2.5
    assert federated_average(current, updates, weighting="samples")["w"].item() == 3.25


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8
    ),
    images=st.lists(st.integers(1, 100_000), min_size=1, max_size=40),
    weighting=st.sampled_from(["uniform", "samples"]),
)
def test_equal_updates_are_their_own_mean(
    values: list[float], images: list[int], weighting: str
) -> None:
    """Bit for bit: a sum of n equal fp32 numbers, times any weight, is exact in fp64."""
    sent = torch.tensor(values, dtype=torch.float32)
    updates = [update(str(i), n, w=sent.clone()) for i, n in enumerate(images)]
    out = federated_average({"w": torch.zeros_like(sent)}, updates, weighting=weighting)["w"]
    assert out.dtype == torch.float32
    assert torch.equal(out, sent)


def test_updates_are_streamed_and_left_alone() -> None:
    """An iterator is enough, and no client's tensor is written to."""
    sent = [torch.full((2,), float(i)) for i in range(3)]
    out = federated_average(
        {"w": torch.zeros(2)}, (update(str(i), w=w) for i, w in enumerate(sent))
    )
    assert out["w"].tolist() == [1.0, 1.0]
    assert [w[0].item() for w in sent] == [0.0, 1.0, 2.0]


def test_what_nobody_sent_stays() -> None:
    current = {"w": torch.ones(2), "v": torch.ones(2)}
    out = federated_average(current, [update("a", w=torch.zeros(2))])
    assert out["w"].tolist() == [0.0, 0.0]
    assert torch.equal(out["v"], current["v"])
    assert list(out) == ["w", "v"]
    assert federated_average(current, []) == current


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"w": torch.tensor([1.0, float("nan")])}, "not finite"),
        ({"w": torch.tensor([1.0, float("inf")])}, "not finite"),
        ({"w": torch.ones(3)}, r"shape \(3,\), expected \(2,\)"),
        ({"x": torch.ones(2)}, "unknown tensor; got 'x'"),
    ],
)
def test_unusable_updates_are_refused_by_name(tensors: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ClientFailure, match=rf"update of client animals_3: .*{message}"):
        check_update(update("animals_3", **tensors), {"w": torch.zeros(2)})
