"""Local backbone weights in the forms people have them in."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fedmvp.clip.weight_files import read_state
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
        found = read_state(tmp_path / name)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


class Awake(nn.Module):
    """Has code that runs when ``torch.jit.load`` reads it."""

    @torch.jit.export
    def __getstate__(self) -> bool:
        return self.training

    @torch.jit.export
    def __setstate__(self, state: bool) -> None:
        raise RuntimeError("code of the archive was run")

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_no_code_of_an_archive_runs(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Awake()), tmp_path / "awake.pt")
        with pytest.raises(torch.jit.Error, match="code of the archive was run"):
            torch.jit.load(tmp_path / "awake.pt")
    with pytest.raises(BackboneError, match=r"awake.pt: weights cannot be read \(TypeError\)"):
        read_state(tmp_path / "awake.pt")


def test_a_record_that_could_swell_is_refused(tmp_path: Path) -> None:
    torch.save(Small().state_dict(), tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with pytest.raises(BackboneError, match=r"bomb\.pt"):
        read_state(tmp_path / "bomb.pt")


@pytest.mark.parametrize("name", ["noise.pt", "noise.safetensors", "model.pt", "absent.pt"])
def test_what_holds_no_tensors_is_one_clear_error(tmp_path: Path, name: str) -> None:
    torch.save(Small(), tmp_path / "model.pt")  # code, not tensors
    for noise in ("noise.pt", "noise.safetensors"):
        (tmp_path / noise).write_bytes(b"noise")
    with pytest.raises(BackboneError, match=name):
        read_state(tmp_path / name)
