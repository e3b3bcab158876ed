"""Official FedMVP checkpoints, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import CheckpointError
from fedmvp.methods.official_checkpoint import (
    OfficialCheckpoint,
    from_official,
    read_official,
    to_official,
    write_official,
)
from tests.bridge import official_state as bridged
from tests.unit.prediction.places import official_shapes, official_state, save_official

WIDTH, EMBED_DIM = 64, 40
KEYS = sorted(official_shapes(WIDTH, EMBED_DIM))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


def test_the_official_state_has_22_keys_and_the_papers_parameters() -> None:
    shapes = official_shapes(768, 512)
    count = sum(torch.Size(shape).numel() for shape in shapes.values())
    assert len(shapes) == 22
    assert count == 9_845_760 + 36_864


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_round_trip_is_exact(tmp_path: Path, dtype: torch.dtype) -> None:
    state = official_state(WIDTH, EMBED_DIM, dtype=dtype)
    read = read_official(save_official(tmp_path / "model.pth.tar-99", state))
    tensors = from_official(read.state)
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    back = to_official(tensors, tmp_path, dtypes=read.dtypes)
    assert same(dict(sorted(back.items())), dict(sorted(state.items())))
    write_official(tmp_path / "out.pth", OfficialCheckpoint(back, read.epoch))
    again = torch.load(tmp_path / "out.pth", weights_only=True)
    assert again["epoch"] == 99
    assert set(again) == {"state_dict", "epoch", "optimizer", "scheduler", "val_result"}
    # Keys in the official order, LoRA first: torch's own for the official modules.
    assert list(again["state_dict"]) == list(read.state)
    assert [key.partition(".")[0] for key in read.state] == (
        ["cross_loraparams"] * 6 + ["crossattn"] * 14 + ["linear"] * 2
    )
    assert same(read_official(tmp_path / "out.pth").state, read.state)  # type: ignore[arg-type]


def test_names_are_those_of_the_method(tiny: Backbone) -> None:
    from tests.toys import fedmvp

    method = fedmvp(tiny)
    state = official_state(WIDTH, EMBED_DIM, dtype=torch.float32)
    tensors = from_official(state)
    assert tensors.keys() == method.tensors().keys()
    with torch.no_grad():
        for name, parameter in method.tensors().items():
            parameter.copy_(tensors[name])
    # The reference tests' own bridge, written apart from the importer.
    seen = bridged(method.tensors())
    assert seen.keys() == state.keys()
    assert all(torch.equal(seen[key], state[key].double()) for key in state)


def test_a_bare_state_and_names_of_data_parallel_are_read(tmp_path: Path) -> None:
    state = official_state(WIDTH, EMBED_DIM)
    torch.save(state, tmp_path / "bare.pt")
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "parallel.pt")
    for name in ("bare.pt", "parallel.pt"):
        read = read_official(tmp_path / name)
        assert same(dict(sorted(read.state.items())), dict(sorted(state.items())))
        assert read.epoch is None


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    state = official_state(WIDTH, EMBED_DIM)
    for key in KEYS:
        rest = {name: value for name, value in state.items() if name != key}
        with pytest.raises(CheckpointError, match=r"missing key") as caught:
            read_official(save_official(tmp_path / "x", rest))
        assert key in str(caught.value)


@pytest.mark.parametrize("change", ["longer", "flat", "scalar"])
def test_a_misshapen_key_is_named(tmp_path: Path, change: str) -> None:
    state = official_state(WIDTH, EMBED_DIM)
    for key in KEYS:
        value = state[key]
        if change == "longer" and key == "linear.weight":
            continue  # e is known for the official width alone: see the next test
        wrong = {
            "longer": torch.cat([value, value[..., :1]], dim=-1),
            "flat": value[None],
            "scalar": value.sum(),
        }[change]
        with pytest.raises(CheckpointError, match=r"has shape") as caught:
            read_official(save_official(tmp_path / "x", {**state, key: wrong}))
        assert f"{key} has shape {tuple(wrong.shape)}" in str(caught.value)


def test_the_official_width_goes_with_its_embedding(tmp_path: Path) -> None:
    state = {key: torch.zeros(shape).half() for key, shape in official_shapes(768, 500).items()}
    with pytest.raises(CheckpointError, match=r"linear.weight has shape \(768, 500\)"):
        read_official(save_official(tmp_path / "x", state))


@pytest.mark.parametrize(
    ("extra", "value"), [("n_ctx", torch.zeros(4)), ("ctx", torch.zeros(4, 8))]
)
def test_an_extra_key_is_named(tmp_path: Path, extra: str, value: Tensor) -> None:
    state = {**official_state(WIDTH, EMBED_DIM), extra: value}
    with pytest.raises(CheckpointError, match=f"extra key.*{extra}"):
        read_official(save_official(tmp_path / "x", state))


@pytest.mark.parametrize(
    "value", [torch.zeros(WIDTH, dtype=torch.int64), torch.zeros(WIDTH).double(), 3, None]
)
def test_what_is_no_float_tensor_is_named(tmp_path: Path, value: Any) -> None:
    state = {**official_state(WIDTH, EMBED_DIM), "linear.bias": value}
    with pytest.raises(CheckpointError, match=r"linear.bias is not an fp16, bf16 or fp32 tensor"):
        read_official(save_official(tmp_path / "x", state))


class Foreign:
    """Stands for code hidden in a pickle."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pytest.fail, ("code in a checkpoint was run",))


@pytest.mark.parametrize("content", [Foreign(), {"state_dict": Foreign()}, [1, 2], "text"])
def test_only_tensors_are_read(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x")
    with pytest.raises(CheckpointError, match=r"more than tensors|no state dict|key"):
        read_official(tmp_path / "x")


def test_unreadable_files_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"not a checkpoint")
    whole = save_official(tmp_path / "whole", official_state(WIDTH, EMBED_DIM)).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").touch()
    for name in ("noise", "cut", "empty", "absent"):
        with pytest.raises(CheckpointError, match=name):
            read_official(tmp_path / name)


def test_other_architectures_cannot_be_exported(tmp_path: Path, tiny: Backbone) -> None:
    from tests.toys import fedmvp

    for conditioning in ("image", "text"):
        tensors = fedmvp(tiny, conditioning=conditioning).tensors()
        with pytest.raises(CheckpointError, match=r"promptformer\.(bank|queries)"):
            to_official(tensors, tmp_path)
