"""Backbone files and encoded texts: verified, cached, refused when damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from fedmvp.clip.backbone import Backbone, load_backbone, save_backbone
from fedmvp.errors import BackboneError, DataError
from fedmvp.files import sha256_bytes
from tests.paths import ROOT
from tests.random_clip import backbone_spec, random_backbone


@pytest.fixture
def folder(tiny: Backbone, tmp_path: Path) -> Path:
    content = save({name: tensor.contiguous() for name, tensor in tiny.state_dict().items()})
    spec = tiny.spec.model_copy(update={"tower_sha256": sha256_bytes(content)})
    save_backbone(tmp_path, spec, content)
    return tmp_path


def test_files_give_the_same_backbone(tiny: Backbone, folder: Path) -> None:
    loaded = load_backbone(folder)
    state = tiny.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert not any(p.requires_grad for p in loaded.parameters())
    assert not loaded.training


def test_other_weights_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackboneError, match="checksum"):
        load_backbone(folder)


@pytest.mark.parametrize("name", ["spec.json", "weights.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises((BackboneError, DataError), match=r"hint: .*dvc repro"):
        load_backbone(folder)


def test_a_damaged_spec_is_refused(folder: Path) -> None:
    path = folder / "spec.json"
    path.write_text(path.read_text().replace('"layers"', '"layer"', 1))
    with pytest.raises(BackboneError, match=r"hint"):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("vision.proj"), "tensor is missing.*vision.proj"),
        (lambda state: state.update({"vision.more": torch.zeros(1)}), "tensor is extra.*vision.mo"),
        (
            lambda state: state.update({"vision.proj": torch.zeros(2, 2)}),
            r"proj has shape \(2, 2\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(tiny: Backbone, change: object, message: str) -> None:
    state = dict(tiny.state_dict())
    change(state)
    with pytest.raises(BackboneError, match=message):
        Backbone.from_state(tiny.spec, state)


def test_normalise(tiny: Backbone) -> None:
    """Pixel 255 of the red channel: (1 - 0.48) / 0.27; channels first."""
    pixels = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    pixels[0, 5, 6, 0] = 255
    out = tiny.normalise(pixels)
    assert out.shape == (1, 3, 32, 32)
    assert float(out[0, 0, 5, 6]) == pytest.approx((1 - 0.48) / 0.27)
    assert float(out[0, 2, 0, 0]) == pytest.approx(-0.41 / 0.28)
    assert torch.equal(out, tiny.normalise(torch.from_numpy(pixels)))


def test_scale_is_the_exponential(tiny: Backbone) -> None:
    assert float(tiny.scale) == pytest.approx(1 / 0.07)


@pytest.mark.usefixtures("words")
def test_encoded_texts_are_cached_bit_for_bit(
    tiny: Backbone, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tiny.encode_texts(["an owl", "a kite"])
    assert first.norm(dim=1).tolist() == pytest.approx([1, 1])
    with monkeypatch.context() as patch:
        patch.setattr(type(tiny.text), "features", None)  # the tower must not run again
        assert torch.equal(tiny.encode_texts(["an owl", "a kite"]), first)
    for file in cache.rglob("*.safetensors"):
        file.write_bytes(b"damaged")
    assert torch.equal(tiny.encode_texts(["an owl", "a kite"]), first)


@pytest.mark.usefixtures("words", "cache")
def test_other_weights_have_other_texts(tiny: Backbone) -> None:
    """The key holds the hash of the weights."""
    other = random_backbone("tiny", quick_gelu=True)
    assert other.spec.tower_sha256 != tiny.spec.tower_sha256
    assert not torch.equal(other.encode_texts(["an owl"]), tiny.encode_texts(["an owl"]))


def test_a_cache_that_cannot_be_written_costs_no_result(
    tiny: Backbone, words: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("FEDMVP_CACHE", str(blocked / "cache"))
    assert tiny.encode_texts(["an owl"]).shape == (1, 40)


@pytest.mark.slow
def test_loading_leaves_torchs_compiler_alone(folder: Path) -> None:
    """Operations on "meta" may import it: more than all else a short stage does."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom fedmvp.clip.backbone import load_backbone\n"
        "load_backbone(Path(sys.argv[1]))\nprint('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_no_texts_have_no_features(tiny: Backbone) -> None:
    assert tiny.encode_texts([]).shape == (0, 40)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_close(tiny: Backbone, precision: str) -> None:
    half = Backbone.from_state(tiny.spec, tiny.state_dict(), precision=precision)
    images = tiny.normalise(np.full((2, 32, 32, 3), 90, dtype=np.uint8))
    ours, plain = half.frozen_features([images]), tiny.frozen_features([images])
    assert ours.dtype == torch.float32
    assert 0 < (ours - plain).abs().max() < 0.03


def test_spec_sizes() -> None:
    vision = backbone_spec("vit_b16").vision
    assert (vision.grid, vision.patches) == ((14, 14), 196)
