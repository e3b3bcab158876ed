"""``fedmvp import-official``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.results.learned import read_learned
from tests.unit.cli.conftest import Run
from tests.unit.prediction.places import official_state, save_official, trained, write_result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state_of(path: str) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_through_our_format_and_back(run: Run, folder: Path, dtype: torch.dtype) -> None:
    save_official(folder / "model.pth.tar-100", official_state(64, 40, dtype=dtype))
    output = run("import-official", "model.pth.tar-100", "--out", "w.safetensors").stdout
    assert output == "w.safetensors: 26 tensors, 72,448 parameters\n"
    run("import-official", "w.safetensors", "--export", "back.pth")
    before, after = state_of("model.pth.tar-100"), state_of("back.pth")
    assert before.keys() == after.keys()
    for key in before:
        assert after[key].dtype == dtype
        assert torch.equal(before[key], after[key])
    run("import-official", "model.pth.tar-100", "--export", "again.pth")
    assert Path("again.pth").read_bytes() == Path("back.pth").read_bytes()


def test_the_same_file_every_time(run: Run, folder: Path) -> None:
    save_official(folder / "c", official_state(64, 40))
    for name in ("one.safetensors", "two.safetensors"):
        run("import-official", "c", "--out", name)
    assert Path("one.safetensors").read_bytes() == Path("two.safetensors").read_bytes()


def test_whether_lora_is_on_is_noted(run: Run, folder: Path) -> None:
    save_official(folder / "c", official_state(64, 40, rank=4))
    run("import-official", "c", "--out", "off.safetensors")
    run("import-official", "c", "--out", "on.safetensors", "--lora")
    off, on = (read_learned(Path(f"{name}.safetensors")) for name in ("off", "on"))
    assert off.method == on.method == "fedmvp"
    assert (off.fixed, on.fixed) == (
        {"rank": 4, "lora_eval": False},
        {"rank": 4, "lora_eval": True},
    )


def test_results_of_ours_can_be_exported(run: Run, tower: Backbone) -> None:
    method = trained(tower)
    folder = write_result(Path(), method)
    run("import-official", str(folder), "--export", "out.pth")
    assert len(state_of("out.pth")) == 22
    run("import-official", "out.pth", "--out", "back.safetensors")
    back = read_learned(Path("back.safetensors")).tensors
    for name, tensor in method.tensors().items():
        assert torch.equal(back[name], tensor)


def test_prompts_that_begin_as_patches_are_not_exported(run: Run, tower: Backbone) -> None:
    """The official code would make other prompts of the same tensors."""
    folder = write_result(Path(), trained(tower))
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["params"]["method"]["start"] = "patches"
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    result = run("import-official", str(folder), "--export", "out.pth", code=2)
    assert "start: patches" in result.stderr and "start: random" in result.stderr
    assert not Path("out.pth").exists()


def test_faults(run: Run, folder: Path) -> None:
    state = official_state(64, 40)
    del state["linear.bias"]
    save_official(folder / "c", state)
    assert "give --out FILE, --export FILE" in run("import-official", "c", code=2).stderr
    result = run("import-official", "c", "--out", "w.safetensors", code=2)
    assert result.stderr == (
        "error: c: 1 missing key(s): linear.bias; hint: give the file of an official FedMVP "
        "prompt_learner\n"
    )
    assert not Path("w.safetensors").exists()
