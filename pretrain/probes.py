"""Zero-shot probes during training: held-out icon sets, and a look at the benchmark.

The held-out sets choose hyper-parameters. The benchmark is only watched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pretrain.augment import plain_patches
from pretrain.recipe import FOLDER, MADE, Model
from pretrain.select import read_icons
from pretrain.texts import embed
from pretrain.tower import image_features

__all__ = ["Probe", "encode", "load_probes", "top1"]

_BLOCK = 256  # images encoded at once


@dataclass(frozen=True)
class Probe:
    """One zero-shot task: images, the label of each, the class names and their embeddings."""

    name: str
    images: Tensor
    labels: Tensor
    styles: Tensor
    classes: list[str]
    embeddings: Tensor


def load_probes(every: int = 1) -> list[Probe]:
    """Return the held-out task and the benchmark's five; `every` thins the benchmark's images."""
    icons = read_icons()
    rows = [i for i, icon in enumerate(icons) if icon.group == "validation"]
    classes = sorted({icons[i].name for i in rows})
    pictures = torch.from_numpy(np.load(MADE / "images.npy", mmap_mode="r")[rows])
    labels = torch.tensor([classes.index(icons[i].name) for i in rows])
    probes = [
        Probe("held_out", pictures, labels, torch.zeros_like(labels), classes, _embeddings(classes))
    ]
    tasks = json.loads((FOLDER / "benchmark.json").read_text(encoding="utf-8"))
    index = np.load(MADE / "benchmark.npz")
    shown = ~index["blank"]
    images = np.load(MADE / "benchmark.npy", mmap_mode="r")
    for d, (task, entries) in enumerate(tasks.items()):
        chosen = np.flatnonzero(shown & (index["labels"][:, 0] == d))[::every]
        names = [name for _, name in entries]
        probes.append(
            Probe(
                task,
                torch.from_numpy(images[chosen]),
                torch.from_numpy(index["labels"][chosen, 1]).long(),
                torch.from_numpy(index["labels"][chosen, 2]).long(),
                names,
                _embeddings(names),
            )
        )
    return probes


def _embeddings(names: list[str]) -> Tensor:
    """Sentence embeddings of plain class names, kept in `work/names.npz` between runs."""
    path = MADE / "names.npz"
    known: dict[str, NDArray[np.float16]] = {}
    if path.exists():
        stored = np.load(path)
        known = dict(zip(stored["names"].tolist(), stored["rows"], strict=True))
    missing = [name.lower() for name in names if name.lower() not in known]
    if missing:
        known |= dict(zip(missing, embed(missing, MADE / "sources" / "minilm"), strict=True))
        np.savez(path, names=np.array(list(known)), rows=np.stack(list(known.values())))
    return torch.from_numpy(np.stack([known[name.lower()] for name in names]).astype(np.float32))


@torch.no_grad()
def encode(visual: nn.Module, images: Tensor, model: Model, dtype: torch.dtype) -> Tensor:
    """Return unit image features of RGBA icons on white, float32 [n, d] on the CPU."""
    device = next(visual.parameters()).device
    parts = []
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].to(device)
        patches, places = plain_patches(block, model.image_size, model.patch_size)
        features = image_features(visual, patches.to(dtype), places)
        parts.append(functional.normalize(features, dim=1).cpu())
    return torch.cat(parts)


def top1(features: Tensor, labels: Tensor, styles: Tensor, texts: Tensor) -> float:
    """Return zero-shot top-1 accuracy, the mean over styles of each style's accuracy."""
    right = ((features @ texts.T).argmax(1) == labels).float()
    return float(np.mean([right[styles == s].mean().item() for s in sorted(set(styles.tolist()))]))
