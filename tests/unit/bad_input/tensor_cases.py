"""Backbones, learned weights, checkpoints and what stands beside them."""

from __future__ import annotations

import io
import json
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from tests.unit.bad_input.cases import Case
from tests.unit.bad_input.world import World
from tests.unit.prediction.places import official_state

__all__ = ["CASES"]

ZERO_SHOT = ("zero_shot", "small", "zero_shot")
EVALUATE = ("evaluate", "small", "fedmvp", "1")
WEIGHTS = "results/small/fedmvp/seed1/weights.safetensors"
RUN = "results/small/fedmvp/seed1/run.json"
PREDICT = ("predict", "image0.png", "--dataset", "toys", "--weights", WEIGHTS)
IMPORT = ("import-official", "model.pth.tar-9", "--out", "ours.safetensors")
BACKBONE = (
    "predict",
    "image0.png",
    "--dataset",
    "toys",
    "--backbone",
    "pictoclip",
    "--backbone-weights",
)
SPEC = "data/backbone/spec.json"
FIRST = "main/promptformer.attention.key_bias"

Tensors = dict[str, Tensor]


class Foreign:
    """Stands for code hidden in a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("was-run").write_text, ("code in a checkpoint was run",))


def spec(name: str, change: Callable[[Any], object], *tells: str) -> Case:
    """Return a case of a changed description of the backbone."""
    return Case(name, lambda w: w.edit_json(SPEC, change), ZERO_SHOT, ("backbone", *tells))


def bytes_of(name: str, content: bytes, *tells: str) -> Case:
    """Return a case of weights that are not safetensors."""
    return Case(
        name,
        lambda w: w.write(WEIGHTS, content),
        EVALUATE,
        ("weights.safetensors: learned tensors cannot be read", *tells),
    )


def half_bytes() -> bytes:
    """Return a tensor of a format that torch stores and does not compute with."""
    header = b'{"main/x": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}'
    return len(header).to_bytes(8, "little") + header + bytes(1)


def named_twice() -> bytes:
    """Return one name for two tensors."""
    entry = b'"main/x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    header = b"{" + entry + b", " + entry + b"}"
    return len(header).to_bytes(8, "little") + header + bytes(4)


def tensors(
    name: str, words: tuple[str, ...], change: Callable[[Tensors], object], *tells: str
) -> Case:
    """Return a case of changed tensors."""

    def spoil(w: World) -> None:
        loaded: Tensors = load_file(w.root / WEIGHTS)
        change(loaded)
        w.write(WEIGHTS, save(loaded))

    return Case(name, spoil, words, tells)


def note(name: str, text: str, *tells: str) -> Case:
    """Return a case of weights with another note of their own."""

    def spoil(w: World) -> None:
        w.remove(RUN)
        w.write(WEIGHTS, save(load_file(w.root / WEIGHTS), metadata={"fedmvp": text}))

    return Case(name, spoil, PREDICT, ("weights.safetensors: ", *tells))


def official(name: str, content: object, *tells: str) -> Case:
    """Return a case of a checkpoint of the official code that is none."""
    return Case(
        name,
        lambda w: torch.save(content, w.root / "model.pth.tar-9"),
        IMPORT,
        ("model.pth.tar-9: ", *tells),
    )


def local(name: str, content: object, *tells: str) -> Case:
    """Return a case of a backbone's weights that are none."""

    def spoil(w: World) -> None:
        if isinstance(content, bytes):
            w.write("clip.pt", content)
        else:
            torch.save(content, w.root / "clip.pt")

    return Case(name, spoil, (*BACKBONE, "clip.pt"), ("clip.pt: ", *tells))


def swollen() -> bytes:
    """Return a checkpoint whose records are compressed: 64 MiB in a few kB."""
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.zeros(1 << 24)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for record in source.namelist():
            target.writestr(record, source.read(record))
    return packed.getvalue()


def record(name: str, change: Callable[[Any], object], *tells: str) -> Case:
    """Return a case of a changed run.json."""
    return Case(name, lambda w: w.edit_json(RUN, change), PREDICT, ("run.json: ", *tells))


OFFICIAL = official_state(64, 40)

CASES = [
    Case(
        "no backbone", lambda w: w.remove("data/backbone"), ZERO_SHOT, ("spec.json: file is miss",)
    ),
    Case(
        "no backbone weights",
        lambda w: w.remove("data/backbone/weights.safetensors"),
        ZERO_SHOT,
        ("data/backbone: backbone files are damaged", "--force backbone"),
    ),
    Case(
        "backbone weights changed",
        lambda w: w.write("data/backbone/weights.safetensors", b"x"),
        ZERO_SHOT,
        ("weights.safetensors: checksum differs from spec.json",),
    ),
    spec("a backbone that is a list", lambda s: [], "files are damaged"),
    spec("a backbone of other sizes", lambda s: s["vision"].update(width=32), "has shape"),
    spec("a backbone without end", lambda s: s["vision"].update(layers=10**9), "files are damaged"),
    spec("a backbone too wide", lambda s: s["vision"].update(width=10**12), "files are damaged"),
    spec("a backbone of half a head", lambda s: s["vision"].update(heads=7), "backbone"),
    spec(
        "a backbone of negative depth", lambda s: s["text"].update(layers=-1), "files are damaged"
    ),
    Case(
        "a description that `methods` reads",
        lambda w: w.write(SPEC, "{}"),
        ("methods",),
        ("spec.json: not a backbone's description",),
    ),
    bytes_of("weights of words", b"not tensors", "--force train"),
    bytes_of("weights of nothing", b""),
    bytes_of("a header without end", (2**62).to_bytes(8, "little") + b"{}"),
    bytes_of("a header of nonsense", (4).to_bytes(8, "little") + b"[[[["),
    bytes_of("weights of half bytes", half_bytes(), "of format 'F4'"),
    Case(
        "half bytes to predict with",
        lambda w: w.write(WEIGHTS, half_bytes()),
        PREDICT,
        (WEIGHTS, "not a safetensors file"),
    ),
    bytes_of("weights that give a name twice", named_twice(), "duplicate key"),
    tensors(
        "weights with a NaN",
        EVALUATE,
        lambda t: t[FIRST].fill_(float("nan")),
        "not finite numbers; got",
        FIRST,
    ),
    tensors(
        "weights that are whole numbers",
        EVALUATE,
        lambda t: t.update({FIRST: t[FIRST].long()}),
        "not finite numbers",
    ),
    tensors(
        "weights without a tensor", EVALUATE, lambda t: t.pop(FIRST), "tensor is missing", FIRST
    ),
    tensors(
        "weights of another size",
        EVALUATE,
        lambda t: t.update({FIRST: torch.zeros(3)}),
        "has shape (3,), expected (64,)",
    ),
    tensors(
        "weights to predict with, infinite",
        PREDICT,
        lambda t: t[FIRST].fill_(float("inf")),
        WEIGHTS,
        "not finite numbers",
    ),
    tensors(
        "weights with a tensor too many",
        PREDICT,
        lambda t: t.update({"main/more": torch.zeros(3)}),
        "tensor is extra; got 'more'",
    ),
    tensors(
        "weights of two folds",
        PREDICT,
        lambda t: t.update({"two/x": torch.zeros(3)}),
        "several folds",
        "--fold: main, two",
    ),
    note("a note that is not JSON", "{", "not a safetensors file"),
    note("a note that is a list", "[]", "metadata was not written by fedmvp"),
    note("a note of an unknown method", json.dumps({"method": ["x"]}), "unknown method; got ['x']"),
    record("a run that is a list", lambda r: [], "not a run record"),
    record("a run without params", lambda r: r.update(params=3), "not a run record"),
    record("a run with a seed in words", lambda r: r.update(seed="one"), "not a run record"),
    record("a run with a list of inputs", lambda r: r.update(inputs=[]), "not a run record"),
    Case("no weights to predict with", lambda w: w.remove(WEIGHTS), PREDICT, ("file is missing",)),
    Case("no checkpoint", lambda w: None, IMPORT, ("model.pth.tar-9: file is missing",)),
    official("code in a checkpoint", Foreign(), "contains more than tensors", "'pathlib."),
    official(
        "a checkpoint with its arguments",
        {"state_dict": OFFICIAL, "args": Namespace(lr=0.1)},
        "contains more than tensors; got ['argparse.Namespace']",
        "torch.save(c['state_dict']",
    ),
    official("a checkpoint of numbers", [1, 2], "no state dict; got 'list'"),
    official(
        "a checkpoint without a key",
        {k: v for k, v in OFFICIAL.items() if k != "linear.bias"},
        "1 missing key(s): linear.bias",
    ),
    official("a checkpoint of words", {**OFFICIAL, "linear.bias": "x"}, "is not an fp16"),
    Case(
        "a checkpoint of noise",
        lambda w: w.write("model.pth.tar-9", b"noise" * 99),
        IMPORT,
        ("model.pth.tar-9: not a checkpoint of plain tensors",),
    ),
    local("code in a backbone", Foreign(), "contains more than tensors", "'pathlib."),
    local(
        "a training checkpoint with its arguments",
        {"state_dict": {"w": torch.zeros(3)}, "args": Namespace(lr=0.1)},
        "contains more than tensors; got ['argparse.Namespace']",
        "torch.save(c['state_dict']",
    ),
    local(
        "a training checkpoint with a number of numpy's",
        {"state_dict": {"w": torch.zeros(3)}, "best": np.float64(0.5)},
        "contains more than tensors; got ['numpy.",
        "scalar",
        "torch.save(c['state_dict']",
    ),
    local(
        "a checkpoint without weights",
        {"epoch": 3, "optimizer": {}},
        "not a state dict; got 'epoch: int'",
        "torch.save(c['state_dict']",
    ),
    local("a backbone of noise", b"noise" * 99, "weights cannot be read"),
    local("a backbone that swells", swollen(), "weights cannot be read"),
    local("a backbone of NaN", {"w": torch.full((3,), float("nan"))}, "not finite; got 'w'"),
    local("a backbone of nameless tensors", {7: torch.zeros(3)}, "not a state dict"),
    local("a backbone of numbers", {"w": 3}, "not a state dict"),
]
