"""A small working folder: a dataset of one's own, a tiny backbone, a trained result, images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from fedmvp.clip.backbone import Backbone, save_backbone
from fedmvp.csv_files import write_csv
from fedmvp.files import sha256_bytes, sha256_file, sha256_json, write_bytes, write_json
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.results.predictions import PREDICTION_COLUMNS
from fedmvp.results.targets import MULTI_TARGET_COLUMNS
from tests import random_clip
from tests.toys import attributes_of, fedmvp, shake

CLASSES = ("red_fox", "teapot", "snow owl", "kite")
DATASET = "toys"

_ATTENTION = "crossattn.cross_attend_blocks.0."
_FEED_FORWARD = "crossattn.cross_attend_blocks.1.net."


def furnish(folder: Path, *, vocabulary: int = random_clip.VOCABULARY) -> Backbone:
    """Write catalog entry, attributes, backbone files and two images; return the backbone.

    Parameters
    ----------
    vocabulary : int
        CLIP's own, where its tokenizer is to be used.
    """
    entry = {
        "name": DATASET,
        "title": "Toys",
        "licence": "none",
        "layout": {"reader": "domain_class_folders"},
        "template": "a sketch of a {}.",
        "sentence": {
            "prefix": "a sketch of a",
            "suffix": "a kind of toy",
            "domains": {"photo": {"prefix": "a photo of a"}},
        },
        "split": {"rule": "fractions", "train": 0.5},
        "domains": ["sketch", "photo"],
        "classes": list(CLASSES),
    }
    catalog = folder / "catalog"
    catalog.mkdir()
    (catalog / f"{DATASET}.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    record = {"dataset": DATASET, "provider": "file", "model": "test", "template": "visual-v1"}
    attributes = {name: list(texts) for name, texts in attributes_of(CLASSES).items()}
    write_json(
        folder / f"data/attributes/{DATASET}.json",
        {**record, "classes": attributes},
        sort_keys=False,
    )
    backbone = _backbone(folder / "data/backbone", vocabulary)
    draw = np.random.default_rng(5)
    for number in range(2):
        pixels = draw.integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"image{number}.png")
    return backbone


def _backbone(folder: Path, vocabulary: int) -> Backbone:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_clip, "VOCABULARY", vocabulary)
        backbone = random_clip.random_backbone("tiny")
    state = {key: tensor.contiguous() for key, tensor in backbone.state_dict().items()}
    content = save(state)
    spec = backbone.spec.model_copy(update={"tower_sha256": sha256_bytes(content)})
    save_backbone(folder, spec, content)
    return Backbone.from_state(spec, state)


def write_result(
    root: Path, method: Method, *, folds: tuple[str, ...] = ("main",), **params: Any
) -> Path:
    """Write what train leaves of a method, the same tensors in every fold but for a shift."""
    folder = root / "results/base_to_new/fedmvp/seed1"
    tensors = {
        f"{fold}/{name}": (tensor.detach() + 0.05 * shift).contiguous()
        for shift, fold in enumerate(folds)
        for name, tensor in method.tensors().items()
    }
    write_bytes(folder / "weights.safetensors", save(tensors))
    paths = ("data/backbone/spec.json", f"data/attributes/{DATASET}.json")
    record = {
        "setting": "base_to_new",
        "method": "fedmvp",
        "seed": 1,
        "params": {
            "backbone": {"name": "tiny", "pretrained": None, "weights": None, "precision": "fp32"},
            "method": method.params.resolved(),
            **params,
        },
        "inputs": {path: sha256_file(root / path) for path in paths},
    }
    write_json(folder / "run.json", {**record, "fingerprint": sha256_json(record)})
    write_json(folder / "metrics.json", {"hm": 0.5})
    return folder


def trained(backbone: Backbone, **params: Any) -> Method:
    """Return a FedMVP none of whose tensors is zero or one."""
    return fedmvp(backbone, **params)


def write_many_labels(root: Path, backbone: Backbone, *, threshold: float = 0.35) -> Path:
    """Write a result of a FedMVP whose images show many classes, with the threshold it chose."""
    head = MultiLabelParams(head="tiles")
    plain = trained(backbone, n_prompts=2)
    method = build_method("fedmvp", backbone, plain.params, 1, head)
    shake(method)
    result = write_result(root, method, multilabel=head.model_dump(mode="json"))
    key = {"fold": "main", "group": "global", "name": DATASET, "dataset": DATASET}
    numbers = dict.fromkeys(MULTI_TARGET_COLUMNS, 0.5)
    row = {
        **numbers,
        **key,
        "domain": "",
        "classes": 4,
        "images": 2,
        "scored": 4,
        "threshold": threshold,
    }
    write_csv(result / "targets.csv", MULTI_TARGET_COLUMNS, [row])
    write_json(result / "metrics.json", {"map": 0.625, "prevalence": 0.25, "map/toys": 0.625})
    names = "; ".join(CLASSES[:2])
    answers = [{**key, "image": f"toys/{i}", "label": names, "predicted": ""} for i in range(2)]
    write_csv(result / "predictions.csv", PREDICTION_COLUMNS, answers)
    return result


def official_shapes(width: int, embed_dim: int, rank: int = 8) -> dict[str, tuple[int, ...]]:
    """Return the 22 keys of an official file, with shapes (docs/method.md#official-checkpoint)."""
    shapes: dict[str, tuple[int, ...]] = {
        f"{_ATTENTION}fn.in_proj_weight": (3 * width, width),
        f"{_ATTENTION}fn.in_proj_bias": (3 * width,),
        f"{_ATTENTION}fn.out_proj.weight": (width, width),
        f"{_ATTENTION}fn.out_proj.bias": (width,),
        f"{_FEED_FORWARD}0.weight": (width,),
        f"{_FEED_FORWARD}0.bias": (width,),
        f"{_FEED_FORWARD}1.weight": (8 * width, width),
        f"{_FEED_FORWARD}1.bias": (8 * width,),
        f"{_FEED_FORWARD}3.weight": (width, 4 * width),
        f"{_FEED_FORWARD}3.bias": (width,),
        "linear.weight": (width, embed_dim),
        "linear.bias": (width,),
    }
    for norm in ("norm", "norm_context"):
        shapes |= {f"{_ATTENTION}{norm}.{part}": (width,) for part in ("weight", "bias")}
    for path in ("query", "key", "value"):
        shapes[f"cross_loraparams.cross_{path}A"] = (width, rank)
        shapes[f"cross_loraparams.cross_{path}B"] = (rank, width)
    return shapes


def official_state(
    width: int, embed_dim: int, rank: int = 8, dtype: torch.dtype = torch.float16
) -> dict[str, Tensor]:
    """Return a random official state; norm scales are near one."""
    generator = torch.Generator().manual_seed(11)
    return {
        key: (
            0.1 * torch.randn(*shape, generator=generator)
            + (1.0 if "norm" in key and key.endswith("weight") else 0.0)
        ).to(dtype)
        for key, shape in official_shapes(width, embed_dim, rank).items()
    }


def save_official(path: Path, state: Mapping[str, Tensor], epoch: int = 99) -> Path:
    """Write the file the official code writes."""
    content = {"state_dict": dict(state), "epoch": epoch}
    content |= dict.fromkeys(("optimizer", "scheduler", "val_result"))
    torch.save(content, path)
    return path
