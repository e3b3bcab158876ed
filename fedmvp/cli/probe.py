"""``fedmvp probe``: what the frozen image tower separates, with and without its text side."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["probe"]


def probe(
    dataset: Annotated[str, typer.Argument(help="A dataset whose manifest is built.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Compare zero-shot accuracy with a linear probe on the same frozen features.

    The probe is a centralised logistic regression on the training split: what a classifier could
    read off the features. Chance and zero-shot (hand template, all classes as candidates) stand
    beside it. Needs `dvc repro backbone download`.
    """
    from pathlib import Path

    import numpy as np

    from fedmvp.cli.output import print_json, print_table
    from fedmvp.clip.backbone import load_backbone
    from fedmvp.data.labelled import ImageSource
    from fedmvp.data.manifest import load_manifest
    from fedmvp.data.paths import manifest_path
    from fedmvp.data.spec import load_spec
    from fedmvp.evaluation.probe import linear_probe

    spec = load_spec(dataset)
    manifest = load_manifest(manifest_path(dataset))
    backbone = load_backbone(Path("data/backbone"))
    parts = {}
    for split in ("train", "test"):
        ids = [image.id for image in manifest.images if image.split == split]
        source = ImageSource([dataset], backbone.spec.vision.image_size, split)
        images, labels = source(dataset, ids, manifest.classes)
        batches = (backbone.normalise(images[i : i + 128]) for i in range(0, len(images), 128))
        parts[split] = backbone.frozen_features(batches).numpy(), labels
    names = [spec.template.replace("{}", name.replace("_", " ")) for name in manifest.classes]
    texts = backbone.encode_texts(names).numpy()
    features, labels = parts["test"]
    row = {
        "dataset": dataset,
        "classes": len(manifest.classes),
        "test_images": len(labels),
        "chance": 1 / len(manifest.classes),
        "zero_shot": float(np.mean((features @ texts.T).argmax(axis=1) == labels)),
        "linear_probe": linear_probe(*parts["train"], features, labels),
    }
    if as_json:
        print_json(row)
        return
    shown = [f"{v:.2%}" if isinstance(v, float) else v for v in row.values()]
    print_table(tuple(row), [shown])
