"""The ONNX graph gives what torch gives, for any number of images, and names no path.

The tests need the extra ``onnx``, which ``dev`` brings.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import fedmvp
from fedmvp.cli import app
from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.export import onnx as exporter
from fedmvp.export.onnx import OPSET, write_onnx
from fedmvp.prediction.candidates import choose_candidates
from fedmvp.prediction.predictor import Predictor
from tests.paths import ROOT
from tests.toys import NAMES, attributes_of, shake
from tests.toys import fedmvp as toy_fedmvp

runtime = pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
pytest.importorskip("onnxscript", reason="needs the extra `onnx`")
pytestmark = pytest.mark.slow  # the exporter takes seconds to import


def predictor_of(backbone: Backbone, **params: object) -> Predictor:
    """Return a FedMVP with noise in every tensor, choosing among the toy classes."""
    candidates = choose_candidates(classes=NAMES[:5], attributes=attributes_of(NAMES[:5]))
    return Predictor(toy_fedmvp(backbone, **params), candidates)


def largest_difference(folder: Path, predictor: Predictor) -> float:
    """Return by how much both differ at most, over batches of one, two and five images."""
    session = runtime.InferenceSession(str(folder / "model.onnx"))
    backbone = predictor.method.backbone
    side = backbone.spec.vision.image_size
    draw = np.random.default_rng(7)
    found = []
    for count in (1, 2, 5):
        pixels = draw.integers(0, 255, (count, side, side, 3), dtype=np.uint8)
        (logits,) = session.run(None, {"image": backbone.normalise(pixels).numpy()})
        found.append(float(np.abs(logits - predictor.predict(pixels)).max()))
    return max(found)


@pytest.mark.parametrize("shape", ["tiny", pytest.param("picto", marks=pytest.mark.minutes)])
def test_onnxruntime_gives_what_torch_gives(
    backbone: Callable[..., Backbone], shape: str, words: None, tmp_path: Path
) -> None:
    predictor = predictor_of(backbone(shape), depth="all", start="patches", lora_eval=True)
    write_onnx(tmp_path, predictor)
    assert largest_difference(tmp_path, predictor) < 1e-4


@pytest.mark.minutes
def test_so_it_does_on_vit_b16(
    backbone: Callable[..., Backbone], words: None, tmp_path: Path
) -> None:
    """All twelve blocks, random weights."""
    predictor = predictor_of(backbone("vit_b16", quick_gelu=True))
    write_onnx(tmp_path, predictor)
    assert largest_difference(tmp_path, predictor) < 1e-4


@pytest.mark.parametrize(
    "method",
    [
        "zero_shot",
        *(pytest.param(m, marks=pytest.mark.minutes) for m in ("fedvpt", "promptfl", "fedclip")),
    ],
)
def test_other_methods_are_graphs_too(
    tiny: Backbone, words: None, tmp_path: Path, method: str
) -> None:
    from fedmvp.methods.build import build_method, method_params
    from fedmvp.profiles import profile_params

    section = method_params(method, profile_params("default").methods[method])
    built = build_method(method, tiny, section, 1)
    shake(built)
    predictor = Predictor(built, choose_candidates(classes=NAMES[:3]))
    write_onnx(tmp_path, predictor)
    assert largest_difference(tmp_path, predictor) < 1e-4


def test_linear_maps_of_an_amd_processor_are_products_in_the_graph(
    tmp_path: Path, words: None
) -> None:
    from tests.random_clip import backbone_spec, random_backbone

    plain = random_backbone("tiny")
    tower = Backbone.from_state(backbone_spec("tiny"), plain.state_dict(), linear="convolution")
    predictor = predictor_of(tower)
    write_onnx(tmp_path, predictor)
    assert largest_difference(tmp_path, predictor) < 1e-4
    assert tower.vision.transformer.resblocks[0].mlp.c_fc.linear is tower.linear


def test_the_command_and_the_script(result: Path) -> None:
    """The script runs where this package is not, and names the class the package names."""
    done = CliRunner().invoke(app, ["export", str(result), "out", "--onnx"])
    assert done.exit_code == 0, (done.output, done.exception)
    names = {path.name for path in Path("out").iterdir()}
    assert {"model.onnx", "onnx.json", "classify.py", "model.json"} <= names
    script = Path("out/classify.py")
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 20
    with Image.open("image0.png") as picture:
        picture.convert("RGBA").save("alpha.png")
        picture.convert("L").resize((90, 20)).save("grey.jpg")
    files = ["image0.png", "image1.png", "alpha.png", "grey.jpg"]
    printed = subprocess.run(
        [sys.executable, str(script), *files],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    model = fedmvp.load(result)
    for line, name in zip(printed.splitlines(), files, strict=True):
        ((best, share), *_) = model.classify(name).top(1)[0]
        assert line.startswith(f"{name}  {best} {share:.1%}")
    about = json.loads(Path("out/onnx.json").read_text(encoding="utf-8"))
    assert about["opset"] == OPSET
    import onnx

    graph = onnx.load("out/model.onnx")
    assert {o.domain: o.version for o in graph.opset_import}[""] == OPSET
    onnx.checker.check_model(graph)
    content = Path("out/model.onnx").read_bytes()
    for secret in (str(ROOT), sys.prefix, "fedmvp/methods"):
        assert secret.encode() not in content


def test_the_same_model_gives_the_same_bytes(tiny: Backbone, words: None, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_onnx(tmp_path / name, predictor_of(tiny))
    first, second = ((tmp_path / name / "model.onnx").read_bytes() for name in ("a", "b"))
    assert first == second


def test_what_cannot_be_a_graph(
    tiny: Backbone, words: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = Backbone.from_state(tiny.spec, tiny.state_dict(), precision="bf16")
    with pytest.raises(ConfigError, match=r"only fp32.*'bf16'"):
        write_onnx(tmp_path, predictor_of(half))
    monkeypatch.setattr(exporter, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"package onnx is not installed.*fedmvp\[onnx\]"):
        write_onnx(tmp_path, predictor_of(tiny))
    assert not list(tmp_path.iterdir())
    assert torch.is_grad_enabled()
