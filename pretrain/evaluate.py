"""Measure the exported model on the emoji benchmark, loaded by open_clip itself.

Zero-shot top-1, all classes of a dataset as candidates, per dataset and drawing style; the mean
is over styles. `--attributes FOLDER` adds classification by attribute phrases alone, without the
class name (mean of the phrases' features); the folder holds `<dataset>.jsonl` with lines
`{"class": name, "attributes": [phrase, ...]}`. The command prints each number's multiple of chance.
Output: `evaluation.json` beside the weights. Run: `python -m pretrain.evaluate`.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fedmvp.files import write_json
from pretrain.export import FOLDER_OF_WEIGHTS
from pretrain.recipe import FOLDER

__all__ = ["class_features", "load_images", "per_style", "summary"]

_BLOCK = 256  # images encoded at once
ATTRIBUTES_ONLY = "attributes only"
TEMPLATES = {"plain": "{}", "icon": "an icon of a {}.", "photo": "a photo of a {}."}


def load_images(
    archive: Path, slugs: Sequence[str], preprocess: Callable[[Image.Image], Tensor]
) -> tuple[Tensor, Tensor, list[str]]:
    """Read an archive of the benchmark.

    Returns
    -------
    images, labels, styles
        float32 [n, 3, s, s], int64 [n] by place in `slugs`, and the style of each image.
    """
    images: list[Tensor] = []
    labels: list[int] = []
    styles: list[str] = []
    with zipfile.ZipFile(archive) as content:
        for name in sorted(content.namelist()):
            style, slug, _ = name.split("/")
            images.append(preprocess(Image.open(io.BytesIO(content.read(name))).convert("RGB")))
            labels.append(slugs.index(slug))
            styles.append(style)
    return torch.stack(images), torch.tensor(labels), styles


@torch.inference_mode()
def class_features(clip: Any, tokenizer: Any, texts: Sequence[Sequence[str]]) -> Tensor:
    """Return one unit feature a class, the mean over its texts, float32 [classes, d]."""
    rows = []
    for group in texts:
        features = functional.normalize(clip.encode_text(tokenizer(list(group))), dim=1)
        rows.append(functional.normalize(features.mean(0), dim=0))
    return torch.stack(rows)


def per_style(
    features: Tensor, labels: Tensor, styles: Sequence[str], classes: Tensor
) -> dict[str, float]:
    """Return top-1 accuracy by style and their mean."""
    right = ((features @ classes.T).argmax(1) == labels).numpy()
    of = np.array(styles)
    scores = {style: round(float(right[of == style].mean()), 4) for style in sorted(set(styles))}
    return {"mean": round(float(np.mean(list(scores.values()))), 4)} | scores


def summary(task: str, row: dict[str, Any]) -> str:
    """Return a dataset's line: accuracy of each kind in percent, and how often chance that is."""
    kinds = [
        f"{kind} {100 * row[kind]['mean']:.1f} % ({row[kind]['mean'] * row['classes']:.1f} x)"
        for kind in (*TEMPLATES, ATTRIBUTES_ONLY)
        if kind in row
    ]
    return f"{task}: chance {100 / row['classes']:.2f} %; {'; '.join(kinds)}"


@torch.inference_mode()
def main() -> None:
    """Evaluate and write the numbers."""
    import open_clip

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=FOLDER_OF_WEIGHTS)
    parser.add_argument("--attributes", type=Path)
    options = parser.parse_args()
    place = f"local-dir:{options.weights}"
    clip, _, preprocess = open_clip.create_model_and_transforms(place)
    tokenizer = open_clip.get_tokenizer(place)
    clip.eval()
    report: dict[str, Any] = {}
    tasks = json.loads((FOLDER / "benchmark.json").read_text(encoding="utf-8"))
    for task, entries in tasks.items():
        archive = FOLDER.parent / "data" / "emoji" / f"{task}.zip"
        images, labels, styles = load_images(archive, [slug for slug, _ in entries], preprocess)
        blocks = (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
        features = torch.cat(
            [functional.normalize(clip.encode_image(block), dim=1) for block in blocks]
        )
        names = [name for _, name in entries]
        row: dict[str, Any] = {"classes": len(names), "images": len(images)}
        for kind, template in TEMPLATES.items():
            texts = class_features(clip, tokenizer, [[template.format(name)] for name in names])
            row[kind] = per_style(features, labels, styles, texts)
        if options.attributes is not None:
            lines = (options.attributes / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
            phrases = {line["class"]: line["attributes"] for line in map(json.loads, lines)}
            texts = class_features(clip, tokenizer, [phrases[name] for name in names])
            row[ATTRIBUTES_ONLY] = per_style(features, labels, styles, texts)
        report[task] = row
        print(summary(task, row), flush=True)
    means = {
        kind: round(float(np.mean([row[kind]["mean"] for row in report.values()])), 4)
        for kind in TEMPLATES
    }
    print("mean over datasets:", "; ".join(f"{k} {100 * v:.1f} %" for k, v in means.items()))
    write_json(options.weights / "evaluation.json", {"mean": means, "datasets": report})


if __name__ == "__main__":
    main()
