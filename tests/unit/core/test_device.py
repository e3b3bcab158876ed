"""The device and determinism of a stage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from fedmvp.cli import app
from fedmvp.clip.backbone import Backbone
from fedmvp.devices import device_names, prepare_device
from fedmvp.errors import ConfigError
from fedmvp.methods.build import build_method, method_params
from tests.toys import NAMES, toy_bank, toy_client

pytestmark = pytest.mark.usefixtures("words")


def _fill(wanted: bool) -> None:
    torch.utils.deterministic.fill_uninitialized_memory = wanted  # type: ignore[attr-defined]


def _filling() -> bool:
    return bool(torch.utils.deterministic.fill_uninitialized_memory)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads, mode, fill = torch.get_num_threads(), torch.get_deterministic_debug_mode(), _filling()
    for name in ("FEDMVP_DEVICE", "FEDMVP_THREADS", "FEDMVP_DETERMINISM"):
        monkeypatch.delenv(name, raising=False)
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)
    _fill(fill)


def test_strict_is_the_default() -> None:
    _fill(True)
    assert prepare_device() == torch.device("cpu")
    assert torch.get_deterministic_debug_mode() == 2
    assert torch.get_num_threads() == 2
    assert not _filling()


def test_fast_leaves_kernels_free(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_deterministic_debug_mode("default")
    monkeypatch.setenv("FEDMVP_DETERMINISM", "fast")
    monkeypatch.setenv("FEDMVP_THREADS", "1")
    prepare_device()
    assert torch.get_deterministic_debug_mode() == 0
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("level", ["strict", "fast"])
def test_a_gpu_sums_in_a_fixed_order_and_in_fp32(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setenv("FEDMVP_DETERMINISM", level)
    for name in ("allow_tf32", "benchmark"):
        monkeypatch.setattr(torch.backends.cudnn, name, level == "strict")
    assert prepare_device("cuda:1") == torch.device("cuda:1")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.benchmark is (level == "fast")
    with pytest.raises(ConfigError, match="this machine has no cuda:2"):
        prepare_device("cuda:2")


def test_the_first_of_several_devices_is_the_stages_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMVP_DEVICE", "cpu, cpu:0")
    assert device_names() == ("cpu", "cpu:0")
    assert prepare_device() == torch.device("cpu")
    assert prepare_device("cpu:0") == torch.device("cpu:0")


@pytest.mark.parametrize("name", ["fedmvp", "fedtpg", "promptfl", "fedvpt_deep"])
def test_nothing_is_read_before_it_is_written(tiny: Backbone, name: str) -> None:
    """With every new tensor filled with NaN a step gives the same loss and gradients."""
    prepare_device()
    found: list[list[Tensor]] = []
    for fill in (False, True):
        _fill(fill)
        assert torch.empty(3).isnan().all() or not fill
        method = build_method(name, tiny, method_params(name, {}), seed=1)
        method.enter(method.first_phase)
        data = toy_client(toy_bank(tiny), NAMES[:4])
        batch = data.batch(np.arange(len(data)), torch.Generator().manual_seed(5))
        loss = method.loss(batch, data.classes).total
        own = method.tensors()
        parameters = [own[key] for key in method.trainable(method.first_phase)]
        found.append([loss.detach(), *torch.autograd.grad(loss, parameters)])
    for plain, filled in zip(*found, strict=True):
        assert plain.isfinite().all()
        assert torch.equal(plain, filled)


def test_a_device_of_the_command_line_blames_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDMVP_DEVICE", "of no concern")
    for name in ("gpu", "cuda:99", "cpu,cuda"):
        result = CliRunner().invoke(app, ["bench", "--device", name])
        assert result.exit_code == 2
        assert "error: --device: " in result.output
        assert f"got {name!r}" in result.output
        assert "FEDMVP_DEVICE" not in result.output
        assert "several" not in result.output
