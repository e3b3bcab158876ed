"""What a GPU would do with our code, as far as a CPU can tell.

On a device of its own every method trains, is aggregated and predicts as on the CPU, with nothing
left behind there; the host reads once a batch; and CUDA could do each operation deterministically.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedmvp.clip.backbone import Backbone
from fedmvp.config import DifferentialPrivacyParams
from fedmvp.errors import ClientFailure
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.aggregation.rules import Aggregator, check_global, check_update
from fedmvp.federation.client import ClientState, ClientUpdate, train_client
from fedmvp.methods import METHODS
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, load_method, method_params
from fedmvp.partition.model import Client, Partition, Target
from tests.accelerator import DEVICE, Accelerator
from tests.toys import NAMES, ToyBanks, ToyLoader, federation, toy_bank, toy_client

# slow: torch imports its compiler for a device of Python's
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("words")]

TRAINED = [name for name in METHODS if load_method(name).trained]
BATCH = 4
READ = "aten._to_copy.default"

#: What raises on CUDA in deterministic mode (torch.use_deterministic_algorithms), backward passes
#: included; the formula of cross-entropy is not among them, as it has one axis of classes only.
FORBIDDEN = (
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d_backward",
    "avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "fractional_max_pool",
    "max_unpool",
    "upsample_",
    "reflection_pad",
    "replication_pad",
    "nll_loss2d",
    "ctc_loss",
    "embedding_bag",
    "put_.",
    "histc",
    "bincount",
    "median.dim",
    "kthvalue",
    "grid_sampler",
    "scatter_reduce",
)
ALLOWED = ("aten.index_put_.default", "aten._unsafe_index_put.default")


def forbidden(operations: Counter[str]) -> list[str]:
    """Return the operations that CUDA refuses in deterministic mode."""
    return [
        name
        for name in operations
        if name not in ALLOWED and any(part in name for part in FORBIDDEN)
    ]


def create(tiny: Backbone, name: str, device: str, **section: Any) -> Method:
    """Return a method over a copy of the backbone on a device."""
    backbone = copy.deepcopy(tiny).to(device)
    return build_method(name, backbone, method_params(name, section), seed=1)


def trained(
    method: Method, waits: Counter[str] | None = None, rounds: int = 1
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Return a client's last update and all its metrics; `waits` of its last round remain."""
    data = toy_client(toy_bank(method.backbone), NAMES[:4])
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    params = federation(batch_size=BATCH, client_state="persistent")
    state, metrics = ClientState(method.first_phase), []
    for index in range(rounds):
        if waits is not None:
            waits.clear()
        update = train_client(
            method, "c", data, start, state, params, learning_rate=0.01, seed=1, round_index=index
        )
        metrics.append(dict(update.metrics))
    return dict(update.tensors), metrics


#: Begun as the toys' own template, ProGrad's two gradients differ by rounding alone in the first
#: step, and the direction of one of them is noise.
SECTIONS: dict[str, dict[str, Any]] = {"fedprograd": {"context_init": None}}


@pytest.mark.parametrize("name", TRAINED)
def test_a_client_trains_there_as_on_the_cpu(tiny: Backbone, name: str) -> None:
    section = SECTIONS.get(name, {})
    with sdpa_kernel(SDPBackend.MATH):
        tensors, metrics = trained(create(tiny, name, "cpu", **section), rounds=2)
        with Accelerator() as accelerator:
            method = create(tiny, name, DEVICE, **section)
            found, found_metrics = trained(method, accelerator.waits, rounds=2)
            assert {tensor.device.type for tensor in found.values()} == {DEVICE}
            found = {key: tensor.cpu() for key, tensor in found.items()}
    torch.testing.assert_close(found, tensors, rtol=1e-5, atol=1e-6)
    for got, expected in zip(found_metrics, metrics, strict=True):
        assert got == pytest.approx(expected, rel=1e-5)
    assert not forbidden(accelerator.operations)
    assert accelerator.pinned > 0


#: Methods that ask after each scaling whether their transport has converged.
MATCHED = ("fedotp", "fedplot")
#: Readings of a whole round: which experts there are; which groups to send, of texts and of images.
A_ROUND = {"pfedmoap": 1, "fedmgp": 2}


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in MATCHED])
def test_the_host_reads_once_a_step(tiny: Backbone, name: str) -> None:
    with Accelerator() as accelerator:
        trained(create(tiny, name, DEVICE), accelerator.waits, rounds=2)
        steps = 3  # twelve images
        assert accelerator.waits == {READ: steps + A_ROUND.get(name, 0)}


@pytest.mark.parametrize("prompts", [2, 3, 5])
def test_any_number_of_prompts_has_a_deterministic_gradient(tiny: Backbone, prompts: int) -> None:
    """Torch's own pooling of 16 patches to 3 has none on CUDA."""
    with Accelerator() as accelerator:
        trained(create(tiny, "fedmvp", DEVICE, n_prompts=prompts))
    assert not forbidden(accelerator.operations)


def test_what_cuda_refuses_is_seen() -> None:
    with Accelerator() as accelerator:
        tokens = torch.ones(2, 5, 16, device=DEVICE, requires_grad=True)
        pooled = torch.nn.functional.adaptive_avg_pool1d(tokens, 3)
        torch.autograd.grad(pooled.sum(), tokens)
        assert forbidden(accelerator.operations) == ["aten._adaptive_avg_pool2d_backward.default"]
        with pytest.raises(AssertionError, match=r"shapes \[\(16,\)\] are on the CPU"):
            tokens + torch.ones(16)


RULES: dict[str, dict[str, Any]] = {
    **{
        rule: {"aggregation": rule, "byzantine": 0}
        for rule in (
            "fedavg",
            "fedavgm",
            "fedadam",
            "fedyogi",
            "median",
            "trimmed_mean",
            "krum",
            "multi_krum",
        )
    },
    "clipped": {"clip_norm": 0.1},
    "private": {"privacy": DifferentialPrivacyParams(noise_multiplier=1, clip_norm=0.1, delta=0.1)},
}


@pytest.mark.parametrize("rule", RULES)
def test_the_server_aggregates_there_as_on_the_cpu(rule: str) -> None:
    params = federation(**RULES[rule])

    def aggregated(device: str) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(1)
        drawn = [torch.randn(2, 3, generator=draw).to(device) for _ in range(6)]
        updates = [
            ClientUpdate(str(i), {"w": tensor}, 4, "all", {}, 0)
            for i, tensor in enumerate(drawn[1:])
        ]
        aggregator = Aggregator(params, {}, seed=1)
        result = {"w": drawn[0]}
        for index in range(2):
            result = aggregator(result, updates, index, len(updates))
        assert {tensor.device.type for tensor in result.values()} == {device}
        return {name: tensor.cpu() for name, tensor in result.items()}

    expected = aggregated("cpu")
    with Accelerator() as accelerator:
        torch.testing.assert_close(aggregated(DEVICE), expected, rtol=0, atol=1e-7)
    assert not forbidden(accelerator.operations)


def test_an_update_and_the_global_model_are_waited_for_once() -> None:
    with Accelerator() as accelerator:
        tensors = {name: torch.ones(3, device=DEVICE) for name in "abc"}
        update = ClientUpdate("c", tensors, 4, "all", {}, 0)
        check_update(update, tensors)
        check_global(tensors, 0)
        assert accelerator.waits == {READ: 2}
        tensors["b"][1] = torch.inf
        with pytest.raises(ClientFailure, match="tensor b has values that are not finite"):
            check_update(update, tensors)
        with pytest.raises(ClientFailure, match="gave b values that are not finite"):
            check_global(tensors, 0)


@pytest.mark.parametrize("name", METHODS)
def test_a_model_is_evaluated_there_and_read_once_a_batch(tiny: Backbone, name: str) -> None:
    classes = tuple(NAMES[:4])
    ids = tuple(f"{name} {number}" for number in range(3) for name in classes)
    partition = Partition(
        "s",
        "transfer",
        "by_image",
        (Client("c", "f", "toys", None, classes, ids[:1]),),
        (Target("t", "f", "target", "toys", None, classes, ids),),
    )

    def rows(device: str, waits: Counter[str]) -> list[dict[str, Any]]:
        method = create(tiny, name, device)
        bank = toy_bank(method.backbone)
        banks: Any = ToyBanks(method.backbone, {"toys": bank})
        for _ in range(2):  # texts and frozen features are there the second time
            waits.clear()
            found = evaluate(
                partition, method, lambda fold: None, banks, ToyLoader(tiny), batch_size=BATCH
            )
        return found

    with sdpa_kernel(SDPBackend.MATH):
        expected = rows("cpu", Counter())
        with Accelerator() as accelerator:
            assert rows(DEVICE, accelerator.waits) == expected
    batches = 3
    if name not in MATCHED:
        del accelerator.waits["aten.nonzero.default"]  # which texts belong to the target's classes
        assert accelerator.waits == {READ: batches}
    assert not forbidden(accelerator.operations)
