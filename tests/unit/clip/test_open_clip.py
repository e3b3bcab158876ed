"""Our towers are open_clip's: equal on its models, and clear about what they cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.clip.conversion import import_backbone
from fedmvp.clip.open_clip_models import describe_model, open_clip_model
from fedmvp.clip.tokens import tokenize
from fedmvp.errors import BackboneError

pytestmark = pytest.mark.slow  # importing open_clip takes seconds

SMALL: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 48, "patch_size": 16, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 2, "layers": 2},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "toy-native": {},
    "toy-custom": {"custom_text": True},
    "toy-quick": {"quick_gelu": True},
    "toy-no-pre": {"vision_cfg": {**SMALL["vision_cfg"], "no_ln_pre": True}},
    "toy-linear-projection": {"text_cfg": {**SMALL["text_cfg"], "proj_type": "linear"}},
    # Not plain CLIP: each has one part our towers do not compute.
    "toy-layer-scale": {"vision_cfg": {**SMALL["vision_cfg"], "ls_init_value": 0.1}},
    "toy-average": {"vision_cfg": {**SMALL["vision_cfg"], "pool_type": "avg"}},
    "toy-attention-pool": {"vision_cfg": {**SMALL["vision_cfg"], "attentional_pool": True}},
    "toy-last": {"custom_text": True, "text_cfg": {**SMALL["text_cfg"], "pool_type": "last"}},
    "toy-two-ways": {
        "custom_text": True,
        "text_cfg": {**SMALL["text_cfg"], "no_causal_mask": True},
    },
    "toy-bias": {"custom_text": True, "init_logit_bias": -10},
    "toy-tanh": {"vision_cfg": {**SMALL["vision_cfg"], "act_kwargs": {"approximate": "tanh"}}},
    "toy-vocabulary": {"text_cfg": {**SMALL["text_cfg"], "vocab_size": 32000}},
}
SUPPORTED = ("toy-native", "toy-custom", "toy-quick", "toy-no-pre", "toy-linear-projection")


@pytest.fixture(scope="module", autouse=True)
def _toy_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Teach open_clip some small architectures."""
    import open_clip

    folder = tmp_path_factory.mktemp("configs")
    for name, changes in VARIANTS.items():
        (folder / f"{name}.json").write_text(json.dumps({**SMALL, **changes}))
    open_clip.add_model_config(folder)


@pytest.fixture(autouse=True)
def _plain_attention() -> Iterator[None]:
    """torch's fused inference path rounds otherwise than its own plain attention."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


def saved_model(name: str, path: Path) -> nn.Module:
    """Write a randomised state of an open_clip model; return the model."""
    import open_clip

    model = open_clip.create_model(name, pretrained=None).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.02 * torch.randn(tensor.shape, generator=generator))
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    torch.save(state, path) if path.suffix == ".pt" else save_file(state, path)
    return model


def imported(name: str, folder: Path) -> tuple[Any, Backbone]:
    model = saved_model(name, folder / "source.safetensors")
    import_backbone(folder / "out", name, weights=folder / "source.safetensors")
    backbone = load_backbone(folder / "out")
    backbone.vision.cls_only = False
    return model, backbone


@pytest.mark.parametrize("name", SUPPORTED)
def test_equal_bit_for_bit(name: str, tmp_path: Path) -> None:
    model, ours = imported(name, tmp_path)
    images = ours.normalise(
        np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    )
    ids = tokenize(["a photo of a teapot.", "owl", "word " * 90], 77)
    with torch.no_grad():
        assert torch.equal(ours.vision(ours.vision.embed(images)), model.encode_image(images))
        # No prompts and zero prompts are the plain model.
        none = torch.zeros(1, 0, ours.spec.vision.width)
        assert torch.equal(ours.vision(ours.vision.embed(images), none), model.encode_image(images))
        assert torch.equal(ours.vision.features(images), model.encode_image(images, normalize=True))
        assert (ours.text.features(ids) - model.encode_text(ids, normalize=True)).abs().max() < 1e-6
    assert float(ours.scale) == float(model.logit_scale.detach().exp())


def test_vit_b16_bit_for_bit(tmp_path: Path) -> None:
    """The paper's backbone in full size, random weights."""
    import open_clip

    model = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    # Declared, so that nothing is measured: random weights would not tell.
    config = json.dumps({"model_cfg": {"quick_gelu": True}})
    (tmp_path / "open_clip_config.json").write_text(config)
    spec = import_backbone(
        tmp_path / "out", "ViT-B-16-quickgelu", weights=tmp_path / "w.safetensors"
    )
    ours = load_backbone(tmp_path / "out")
    ours.vision.cls_only = False
    assert sum(p.numel() for p in ours.parameters()) == 149_620_737
    assert (spec.vision.width, spec.embed_dim, spec.vision.patches) == (768, 512, 196)
    assert spec.quick_gelu
    images = ours.normalise(
        np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    )
    with torch.no_grad():
        theirs = model.encode_image(images, normalize=True)
        assert torch.equal(ours.vision.features(images), theirs)
        ours.vision.cls_only = True
        assert (ours.vision.features(images) - theirs).abs().max() <= 1e-5


def test_pictoclip_bit_for_bit(tmp_path: Path) -> None:
    """The shipped model."""
    model = open_clip_model("pictoclip")
    import_backbone(tmp_path, "pictoclip")
    ours = load_backbone(tmp_path)
    ours.vision.cls_only = False
    size = ours.spec.vision.image_size
    images = ours.normalise(
        np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    )
    ids = tokenize(["a photo of a teapot.", "owl"], ours.spec.text.context_length)
    with torch.no_grad():
        assert torch.equal(ours.vision.features(images), model.encode_image(images, normalize=True))
        assert (ours.text.features(ids) - model.encode_text(ids, normalize=True)).abs().max() < 1e-6


def test_tokens_are_clips(tmp_path: Path, cache: Path) -> None:
    """Start 49406, end 49407, cut to 77 with the end kept; the second read is from the cache."""
    ids = tokenize(["a photo of a cat", "word " * 90], 77)
    assert ids[0, :7].tolist() == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert ids[0, 7:].sum() == 0
    assert (ids.shape, int(ids[1, -1])) == ((2, 77), 49407)
    assert torch.equal(tokenize(["a photo of a cat", "word " * 90], 77), ids)


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() - set(SUPPORTED)))
def test_models_with_foreign_parts_are_refused(name: str, tmp_path: Path) -> None:
    saved_model(name, tmp_path / "w.safetensors")
    with pytest.raises(BackboneError, match=r"plain (CLIP )?ViT"):
        import_backbone(tmp_path / "out", name, weights=tmp_path / "w.safetensors")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["RN50", "ViT-B-16-SigLIP", "coca_ViT-B-32", "convnext_base"])
def test_unsupported_architectures_are_refused(name: str) -> None:
    with pytest.raises(BackboneError, match=r"not supported.*hint: use a CLIP with a plain ViT"):
        describe_model(name)


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16-quickgelu", "ViT-L-14", "ViT-H-14"])
def test_clips_family_is_described(name: str) -> None:
    spec = describe_model(name)
    assert spec.text.context_length == 77
    assert spec.vision.width % spec.vision.heads == 0


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(BackboneError, match=r"unknown backbone.*ViT-B-16"):
        open_clip_model("ViT-B16")


def drop(state: dict[str, torch.Tensor]) -> None:
    del state["visual.proj"]


def add(state: dict[str, torch.Tensor]) -> None:
    state["visual.more"] = torch.zeros(1)


def reshape(state: dict[str, torch.Tensor]) -> None:
    state["visual.proj"] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, r"'visual.proj'.*1 missing, 0 extra"),
        (add, r"'visual.more'.*0 missing, 1 extra"),
        (reshape, r"visual.proj has shape \(3, 3\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    state = dict(saved_model("toy-native", tmp_path / "w.pt").state_dict())
    change(state)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(BackboneError, match=message):
        open_clip_model("toy-native", weights=tmp_path / "w.pt")


def test_openai_archives_carry_three_more_scalars(tmp_path: Path) -> None:
    model = saved_model("toy-quick", tmp_path / "w.pt")
    scalars = {k: torch.tensor(1) for k in ("input_resolution", "context_length", "vocab_size")}
    half = {key: value.half() for key, value in model.state_dict().items()}
    torch.save({"state_dict": {**half, **scalars}}, tmp_path / "w.pt")
    loaded = open_clip_model("toy-quick", weights=tmp_path / "w.pt")
    state = loaded.state_dict()
    assert all(torch.equal(state[key], value.float()) for key, value in half.items())


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_unreadable_weights_are_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(BackboneError, match="cannot be read"):
        open_clip_model("toy-native", weights=path)
    with pytest.raises(BackboneError, match="missing"):
        open_clip_model("toy-native", weights=tmp_path / "none.pt")


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    """`weights_only`: a file that would run code is refused before it does."""
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    torch.save({"visual.proj": Trap()}, tmp_path / "w.pt")
    with pytest.raises(BackboneError, match=r"more than tensors.*pathlib.Path"):
        open_clip_model("toy-native", weights=tmp_path / "w.pt")
    assert not marker.exists()
