"""What kind of CLIP an open_clip model is, whether our towers can compute it, and its tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fedmvp.clip.spec import BackboneSpec, TextSpec, VisionSpec
from fedmvp.errors import BackboneError

__all__ = ["canonical", "describe"]

_VOCABULARY = 49408  # CLIP's BPE, the only tokenizer there is


def _require(condition: bool, what: str, name: str) -> None:
    if not condition:
        raise BackboneError(
            f"architecture is not supported: {what}",
            where="backbone.name",
            value=name,
            hint="use a CLIP with a plain ViT and CLIP's text transformer, e.g. ViT-B-16-quickgelu",
        )


def describe(model: nn.Module, name: str, pretrained: str | None) -> BackboneSpec:
    """Return the sizes of an open_clip model, every one read from the model itself.

    Raises
    ------
    BackboneError
        When the model has parts our towers do not know.
    """
    visual: Any = model.visual
    text: Any = model.text if hasattr(model, "text") else model
    _require(type(visual).__name__ == "VisionTransformer", "image tower without a ViT", name)
    for attribute in ("token_embedding", "transformer", "ln_final", "positional_embedding"):
        _require(hasattr(text, attribute), "text tower is not CLIP's transformer", name)
    _require(visual.attn_pool is None and visual.pool_type == "tok", "pooling is not CLS", name)
    _require(getattr(text, "cls_emb", None) is None, "text class token", name)
    pool = text.text_pool_type if text is model else text.pool_type
    _require(pool == "argmax", "text pooling is not end-of-text", name)
    _require(getattr(model, "logit_bias", None) is None, "logit bias (SigLIP)", name)
    blocks, text_blocks = visual.transformer.resblocks, text.transformer.resblocks
    size, patch = visual.image_size, visual.patch_size
    _require(size[0] == size[1] and patch[0] == patch[1], "image is not square", name)
    every = (*blocks, *text_blocks)
    gelus = {type(block.mlp[1]).__name__ for block in every}
    exact = all(getattr(block.mlp[1], "approximate", "none") == "none" for block in every)
    _require(len(gelus) == 1 and gelus <= {"GELU", "QuickGELU"} and exact, "activation", name)
    plain = all(isinstance(scale, nn.Identity) for b in every for scale in (b.ls_1, b.ls_2))
    _require(plain, "layer scale", name)
    norms = (module for module in model.modules() if isinstance(module, nn.LayerNorm))
    _require(all(norm.eps == 1e-5 for norm in norms), "layer norm's epsilon", name)
    _require(text.token_embedding.num_embeddings == _VOCABULARY, "vocabulary is not CLIP's", name)
    preprocess = getattr(visual, "preprocess_cfg", None) or {}
    default_mean = (0.48145466, 0.4578275, 0.40821073)
    default_std = (0.26862954, 0.26130258, 0.27577711)
    return BackboneSpec(
        name=name,
        pretrained=pretrained,
        embed_dim=int(visual.proj.shape[1]),
        quick_gelu=gelus == {"QuickGELU"},
        vision=VisionSpec(
            image_size=int(size[0]),
            patch_size=int(patch[0]),
            width=int(visual.conv1.out_channels),
            layers=len(blocks),
            heads=int(blocks[0].attn.num_heads),
            mlp_width=int(blocks[0].mlp[0].out_features),
            pre_norm=not isinstance(visual.ln_pre, nn.Identity),
        ),
        text=TextSpec(
            context_length=int(text.positional_embedding.shape[0]),
            vocabulary=int(text.token_embedding.num_embeddings),
            width=int(text.token_embedding.embedding_dim),
            layers=len(text_blocks),
            heads=int(text_blocks[0].attn.num_heads),
            mlp_width=int(text_blocks[0].mlp[0].out_features),
        ),
        mean=tuple(preprocess.get("mean", default_mean)),
        std=tuple(preprocess.get("std", default_std)),
        tower_sha256="0" * 64,
    )


def canonical(model: nn.Module) -> dict[str, Tensor]:
    """Return fp32 tensors by our towers' keys: `vision.*`, `text.*`, `logit_scale`."""
    state: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        tensor = value.detach().float()
        if key.endswith("attn_mask"):
            continue
        if key == "logit_scale":
            state[key] = tensor.reshape(())
        elif key.startswith("visual."):
            state[f"vision.{key.removeprefix('visual.')}"] = tensor
        elif key.endswith("text_projection.weight"):  # a bias-free nn.Linear in some configs
            state["text.text_projection"] = tensor.T
        else:
            state[f"text.{key.removeprefix('text.')}"] = tensor
    return {key: value.contiguous() for key, value in sorted(state.items())}
