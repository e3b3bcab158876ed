"""Local backbone weights in the forms people have them in."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fedmvp.clip.importing import _read_state
from fedmvp.errors import BackboneError


class Small(nn.Module):
    """Stands for a CLIP model."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Linear(2, 3)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.visual(x) * self.logit_scale


def test_every_form_holds_the_same_tensors(tmp_path: Path) -> None:
    model = Small().half()
    state = model.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "plain.pt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "run.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(model), tmp_path / "openai.pt")
    for name in ("a.safetensors", "plain.pt", "run.pt", "openai.pt"):
        found = _read_state(tmp_path / name)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("name", ["noise.pt", "noise.safetensors", "model.pt", "absent.pt"])
def test_what_holds_no_tensors_is_one_clear_error(tmp_path: Path, name: str) -> None:
    torch.save(Small(), tmp_path / "model.pt")  # code, not tensors
    for noise in ("noise.pt", "noise.safetensors"):
        (tmp_path / noise).write_bytes(b"noise")
    with pytest.raises(BackboneError, match=name):
        _read_state(tmp_path / name)
