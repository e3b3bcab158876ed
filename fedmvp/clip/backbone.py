"""The frozen CLIP a run works on: two towers, the temperature, preprocessing, text encoding."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fedmvp.clip.feature_cache import cached_features
from fedmvp.clip.spec import BackboneSpec
from fedmvp.clip.text import TextTower
from fedmvp.clip.vision import VisionTower
from fedmvp.errors import BackboneError
from fedmvp.files import read_json, sha256_bytes, write_bytes, write_json
from fedmvp.linear import LINEAR
from fedmvp.shortcuts import Shortcuts, compile_wanted
from fedmvp.tensor_files import parse_tensors

__all__ = ["Backbone", "load_backbone", "save_backbone"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Backbone(nn.Module):
    """Frozen CLIP: ``vision``, ``text`` and ``scale``.

    Parameters
    ----------
    spec : BackboneSpec
    precision : {"fp32", "bf16", "fp16"}, default="fp32"
        Arithmetic under `autocast`; weights and trainables stay fp32.
    shortcuts : Shortcuts, optional
        All of them by default.
    linear : {"matmul", "convolution"}, default="matmul"
        How a CPU computes linear maps (`fedmvp.linear`).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        precision: str = "fp32",
        shortcuts: Shortcuts | None = None,
        linear: str = "matmul",
    ) -> None:
        super().__init__()
        self.spec = spec
        self.linear_name, self.linear = linear, LINEAR[linear]
        self.precision = precision
        self.shortcuts = shortcuts or Shortcuts()
        self.compiled = False
        #: Features of texts, on the CPU, that need not be computed: a bundle brings them.
        self.known_texts: dict[str, Tensor] = {}
        self.vision = VisionTower(
            spec,
            cls_only=self.shortcuts.last_block,
            prompts_only=self.shortcuts.first_block,
            linear=self.linear,
        )
        self.text = TextTower(spec, like_lengths=self.shortcuts.like_lengths, linear=self.linear)
        self.logit_scale = nn.Parameter(torch.empty(()), requires_grad=False)
        self.register_buffer("mean", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def from_state(
        cls,
        spec: BackboneSpec,
        state: Mapping[str, Tensor],
        *,
        precision: str = "fp32",
        shortcuts: Shortcuts | None = None,
        linear: str = "matmul",
    ) -> Backbone:
        """Build from tensors named as in weights.safetensors.

        Raises
        ------
        BackboneError
            Naming the first missing, extra or misshapen tensor.
        """
        try:
            with torch.device("meta"):  # nothing is allocated until the sizes have proved right
                expected = cls(spec).state_dict()
        except (RuntimeError, ValueError, AssertionError, ArithmeticError) as error:
            raise BackboneError(
                f"sizes are impossible ({error})",
                where="backbone spec.json",
                hint="run the backbone stage again: `dvc repro --force backbone`",
            ) from None
        for key in sorted(expected.keys() ^ state.keys()):
            kind = "missing" if key in expected else "extra"
            raise BackboneError(
                f"tensor is {kind}",
                where="backbone weights",
                value=key,
                hint="run the backbone stage again: `dvc repro backbone`",
            )
        for key, tensor in state.items():
            if tensor.shape != expected[key].shape:
                raise BackboneError(
                    f"tensor {key} has shape {tuple(tensor.shape)}",
                    where="backbone weights",
                    hint=f"expected {tuple(expected[key].shape)}: run the backbone stage again",
                )
        backbone = cls(spec, precision=precision, shortcuts=shortcuts, linear=linear)
        backbone.load_state_dict(dict(state))
        backbone.round_weights()
        return backbone

    @property
    def device(self) -> torch.device:
        """The towers' device."""
        return self.logit_scale.device

    @property
    def scale(self) -> Tensor:
        """Inverse temperature s = exp(logit_scale), about 100."""
        return self.logit_scale.exp()

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context the towers run in; a no-op in fp32."""
        dtype = _DTYPES[self.precision]
        if dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)

    def round_weights(self) -> None:
        """Round the blocks' weights to the precision, as `autocast` would do in every pass.

        Layer norms, embeddings and the first and last projection stay fp32: they are small, and
        read outside of `autocast`, too.
        """
        for tower in (self.vision, self.text):
            for name, weight in tower.transformer.resblocks.named_parameters():
                if "ln_" not in name:
                    weight.data = weight.data.to(_DTYPES[self.precision])

    def normalise(self, images: np.ndarray | Tensor) -> Tensor:
        """Turn uint8 RGB [B, S, S, 3] into the towers' input, float32 [B, 3, S, S]."""
        pixels = torch.as_tensor(
            np.ascontiguousarray(images) if isinstance(images, np.ndarray) else images
        )
        if self.device.type != pixels.device.type:
            pixels = pixels.pin_memory()  # the copy then does not wait for the device's work
        pixels = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255.0
        return (pixels - self.mean) / self.std

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return L2-normalised features of fixed texts, float32 [T, e].

        Those of `known_texts` are taken; they came from the same weights. Others are read from the
        disk cache if they are there. The key is the hash of the weights, the
        precision and the texts in their order, so a cached result is the computed one bit for bit.
        """

        def compute() -> Tensor:
            from fedmvp.clip.tokens import tokenize

            ids = tokenize(texts, self.spec.text.context_length).to(self.device)
            with self.autocast():
                return self.text.features(ids).float().cpu()

        if not texts:
            return torch.empty(0, self.spec.embed_dim, device=self.device)
        if all(text in self.known_texts for text in texts):
            return torch.stack([self.known_texts[text] for text in texts]).to(self.device)
        return self.cached({"texts": list(texts)}, compute).to(self.device)

    def cached(self, key: Mapping[str, object], compute: Callable[[], Tensor]) -> Tensor:
        """Return a frozen feature on the CPU, from the disk cache where it is there.

        Parameters
        ----------
        key : mapping
            All that determines the feature besides `identity`.
        """
        return cached_features({**self.identity, **key}, compute)

    @property
    def identity(self) -> dict[str, str]:
        """What determines a frozen feature besides its input: the key of caches."""
        known = {
            "weights": self.spec.tower_sha256,
            "precision": self.precision,
            "device": self.device.type,
        }
        # These round differently, and bytes must not depend on who filled the cache.
        rounding = {
            "last_block": self.shortcuts.last_block,
            "like_lengths": self.shortcuts.like_lengths,
        }
        known |= {name: "plain" for name, taken in rounding.items() if not taken}
        if self.linear_name != "matmul":
            known["linear"] = self.linear_name
        return known | ({"blocks": "compiled"} if self.compiled else {})

    def compile_blocks(self) -> None:
        """Let torch compile the image tower's blocks, which share one program.

        Those that have methods of their own for one row (the first and the last) stay as they are.
        """
        for block in self.vision.transformer.resblocks:
            block.compile()
        self.compiled = True

    def frozen_features(self, images: Iterable[Tensor]) -> Tensor:
        """Return L2-normalised un-prompted features of batches of normalised images, [N, e]."""
        with torch.no_grad(), self.autocast():
            return torch.cat([self.vision.features(batch).float() for batch in images])


def save_backbone(folder: Path, spec: BackboneSpec, weights: bytes) -> None:
    """Write spec.json and weights.safetensors."""
    write_bytes(folder / "weights.safetensors", weights)
    write_json(folder / "spec.json", spec.model_dump(mode="json"))


def load_backbone(
    folder: Path,
    *,
    precision: str = "fp32",
    linear: str = "matmul",
    device: torch.device | str = "cpu",
) -> Backbone:
    """Read what `save_backbone` wrote, verified against its hash.

    Raises
    ------
    BackboneError
        When the files do not belong together or cannot be read.
    """
    path = folder / "weights.safetensors"
    hint = "build it again with `dvc repro --force backbone`"
    try:
        spec = BackboneSpec.model_validate(read_json(folder / "spec.json"))
        content = path.read_bytes()
    except (ValidationError, FileNotFoundError) as error:
        raise BackboneError(
            f"backbone files are damaged ({type(error).__name__})", where=folder, hint=hint
        ) from None
    if sha256_bytes(content) != spec.tower_sha256:
        raise BackboneError("checksum differs from spec.json", where=path, hint=hint)
    try:
        state = parse_tensors(content)
    except ValueError as error:
        raise BackboneError(f"not a safetensors file ({error})", where=path, hint=hint) from None
    shortcuts = Shortcuts.from_environment()
    backbone = Backbone.from_state(
        spec, state, precision=precision, shortcuts=shortcuts, linear=linear
    )
    if compile_wanted():
        backbone.compile_blocks()
    return backbone.to(device)
