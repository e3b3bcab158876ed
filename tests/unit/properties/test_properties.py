"""What holds for every input, not for chosen ones: partition, shots, average, texts, readers."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmvp.attributes.schema import complaint, normalise, spoken_name
from fedmvp.attributes.sentences import class_sentences
from fedmvp.catalog.spec import DatasetSpec, SentenceSpec
from fedmvp.data.manifest import Image, Manifest, SplitOrigin
from fedmvp.data.readers.layout import locate, read_layout
from fedmvp.data.splits import split_rows
from fedmvp.errors import DataError
from fedmvp.federation.aggregation.rules import federated_average
from fedmvp.federation.client import ClientUpdate
from fedmvp.partition.build import build_partition
from fedmvp.partition.sampling import base_count, draw_shots
from fedmvp.partition.setting_spec import Setting

# Bounded, so that all of them take seconds; CI draws the same examples each time.
bounded = settings(max_examples=60, deadline=None)

BASE_TO_NEW = Setting.model_validate(
    {
        "title": "t",
        "protocol": "base_to_new",
        "folds": [
            {
                "train": {"classes": "base"},
                "targets": [
                    {"group": "local", "each": "client"},
                    {"group": "base", "classes": "base"},
                    {"group": "new", "classes": "new"},
                ],
            }
        ],
    }
)
# No colon either: `A:x.png` is on another drive.
printable = st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\:")
names = st.text(printable, min_size=1, max_size=20)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def manifest_of(images: list[tuple[int, int]]) -> Manifest:
    """Return a manifest with (train, test) images of each class."""
    rows = [
        Image(f"toys/{label}/{split}{n}", f"{label}/{split}{n}", (label,), "default", split)
        for label, counts in enumerate(images)
        for split, count in zip(("train", "test"), counts, strict=True)
        for n in range(count)
    ]
    classes = tuple(f"class {label}" for label in range(len(images)))
    return Manifest(
        "toys",
        "Toys",
        "a {}.",
        SentenceSpec(prefix="a"),
        SplitOrigin("generated", ""),
        False,
        classes,
        ("default",),
        tuple(rows),
        "0",
    )


@bounded
@given(
    images=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), min_size=2, max_size=60),
    per_client=st.integers(1, 25),
    shots=st.integers(1, 12),
    seed=st.integers(0, 2**53),
)
def test_clients_share_the_base_classes_out(
    images: list[tuple[int, int]], per_client: int, shots: int, seed: int
) -> None:
    """Each base class has one client with all its shots; no client sees another class or test."""
    manifest = manifest_of(images)
    partition = build_partition(
        "own",
        BASE_TO_NEW,
        {"toys": manifest},
        classes_per_client=per_client,
        shots=shots,
        seed=seed,
    )
    base = manifest.classes[: base_count(len(images))]
    assert tuple(name for client in partition.clients for name in client.classes) == base
    assert len(partition.clients) == max(1, round(len(base) / per_client))
    for client in partition.clients:
        drawn = [manifest.by_id[image] for image in client.train]
        assert {image.split for image in drawn} == {"train"}
        counts = Counter(manifest.classes[image.label] for image in drawn)
        assert counts == {
            name: min(shots, images[manifest.classes.index(name)][0]) for name in client.classes
        }
    tested = {image for target in partition.targets for image in target.images}
    assert {manifest.by_id[image].split for image in tested} == {"test"}


@bounded
@given(
    count=st.integers(0, 40),
    shots=st.integers(1, 50),
    seed=st.integers(0, 2**53),
    name=words,
)
def test_shots_are_distinct_images_of_the_class_in_order(
    count: int, shots: int, seed: int, name: str
) -> None:
    images = [f"{n:03d}" for n in range(count)]
    drawn = draw_shots(images, shots, seed, "toys", "", name)
    assert drawn == sorted(set(drawn))
    assert len(drawn) == min(shots, count)
    assert set(drawn) <= set(images)
    assert drawn == draw_shots(images, shots, seed, "toys", "", name)


@bounded
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3),
            st.integers(1, 10_000),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    ),
    weighted=st.booleans(),
)
def test_the_average_is_the_mean_over_who_sent(
    rows: list[tuple[list[float], int, bool]], weighted: bool
) -> None:
    """Each tensor over its own senders: phase-aware FedAvg, against numpy in float64."""
    current = {"a": torch.zeros(3), "b": torch.full((3,), 7.0)}
    updates = [
        ClientUpdate(str(n), {"a" if first else "b": torch.tensor(row)}, images, "all", {}, 0)
        for n, (row, images, first) in enumerate(rows)
    ]
    out = federated_average(current, iter(updates), weighting="samples" if weighted else "uniform")
    for name, first in (("a", True), ("b", False)):
        sent = [(row, images if weighted else 1) for row, images, which in rows if which is first]
        expected = (
            np.average([row for row, _ in sent], axis=0, weights=[w for _, w in sent])
            if sent
            else current[name].numpy()
        )
        assert out[name].tolist() == pytest.approx(expected.tolist(), rel=1e-6, abs=1e-6)


@bounded
@given(
    classes=st.dictionaries(names, st.lists(words, min_size=1, max_size=4), min_size=1, max_size=6),
    prefix=words,
    suffix=words,
)
def test_every_attribute_has_its_sentence(
    classes: dict[str, list[str]], prefix: str, suffix: str
) -> None:
    clean = {
        name: [text for text in map(normalise, texts) if complaint(text, "x") is None] or ["a lid"]
        for name, texts in classes.items()
    }
    made = class_sentences(clean, prefix=prefix, suffix=suffix)
    assert list(made) == list(clean)
    for name, sentences in made.items():
        for sentence, text in zip(sentences, clean[name], strict=True):
            assert sentence.endswith(text)
            assert spoken_name(name) in sentence


def spec_of(classes: list[str], reader: str = "class_folders") -> DatasetSpec:
    """Return a dataset of class folders c0, c1, …"""
    return DatasetSpec.model_validate(
        {
            "name": "toys",
            "title": "Toys",
            "licence": "none",
            "layout": {"reader": reader},
            "template": "a {}.",
            "sentence": {"prefix": "a"},
            "split": {"rule": "fractions", "train": 0.5},
            "classes": [{"name": c, "folder": f"c{n}"} for n, c in enumerate(classes)],
        }
    )


files = st.lists(
    st.tuples(st.integers(0, 2), st.from_regex(r"[a-z0-9 é]{1,9}\.(png|JPG)", fullmatch=True)),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(found=files, noise=st.sampled_from(["README.txt", ".hidden.png", "list.csv"]))
def test_a_folder_reader_finds_each_image_once(found: list[tuple[int, str]], noise: str) -> None:
    listed = {(0, "z.png"), (1, "z.png"), (2, "z.png"), *found}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for label, file in listed:
            (root / f"c{label}").mkdir(exist_ok=True)
            (root / f"c{label}" / file).write_bytes(b"x" * (label + 1))
            (root / f"c{label}" / noise).write_bytes(b"")
        spec = spec_of(["fox", "and/or", "naïve"])
        read = read_layout(spec, locate(spec, root))
    assert sorted((f.label, f.path, f.size_bytes) for f in read) == sorted(
        (label, f"c{label}/{file}", label + 1) for label, file in listed
    )


rows = st.lists(
    st.tuples(st.sampled_from(["train", "val", "test"]), names, st.integers(0, 2)),
    max_size=12,
    unique_by=lambda row: row[1],
)
SPOILT: list[Any] = [
    None,
    [],
    ["x.png", 0],
    ["x.png", 3, "fox"],
    ["x.png", -1, "fox"],
    ["x.png", True, "or"],
    ["../x.png", 0, "fox"],
    ["/x.png", 0, "fox"],
    ["x.png", 1, "fox"],
    [7, 0, "fox"],
]


@bounded
@given(listed=rows, spoilt=st.sampled_from(SPOILT), split=st.sampled_from(["train", "val", "test"]))
def test_a_split_file_is_taken_whole_or_not_at_all(
    listed: list[tuple[str, str, int]], spoilt: Any, split: str
) -> None:
    classes = ["fox", "or", "naïve"]
    spec = spec_of(classes)
    good = [(part, f"{name}.png", label) for part, name, label in listed]
    value: dict[str, list[Any]] = {"train": [], "val": [], "test": []}
    for part, name, label in good:
        value[part].append([name, label, classes[label]])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        assert sorted(split_rows(spec, path)) == sorted(good)
        value[split].append(spoilt)
        path.write_text(json.dumps(value), encoding="utf-8")
        with pytest.raises(DataError, match=r"split\.json: not a valid split file"):
            list(split_rows(spec, path))
