"""``fedmvp export --onnx``: image tower, PromptFormer and one class list as an ONNX graph.

Its input is a normalised image, its output logits; the features of the attribute bank and of the
classifier are constants in it. onnx.json says how to prepare an image and which class each logit
belongs to; classify.py does all this with only onnxruntime and Pillow.

Shapes: B images (any number), S input size, K classes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedmvp.errors import ConfigError, one_line
from fedmvp.files import write_bytes, write_json
from fedmvp.linear import LINEAR
from fedmvp.methods.base import Method
from fedmvp.methods.classes import ClassSet
from fedmvp.prediction.predictor import Predictor

__all__ = ["OPSET", "onnx_graph", "require_onnx", "write_onnx"]

OPSET = 20
"""The first ONNX operator set that has GELU."""
_NEEDED = ("onnx", "onnxscript")
_SCRIPT = Path(__file__).parent / "classify.py.txt"


class _Graph(nn.Module):
    """Logits of normalised images among some classes, whose features are constants."""

    def __init__(self, method: Method, classes: ClassSet) -> None:
        super().__init__()
        self.method, self.classes = method, classes
        self.backbone = method.backbone

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, S, S] → [B, K]."""
        head = self.method.head
        return head.pool(self.method.logits(head.views(image), self.classes)).float()


def require_onnx() -> None:
    """Raise an error if the extra `onnx` is not installed, before anything is computed.

    Raises
    ------
    ConfigError
        Naming the package that is missing.
    """
    for name in _NEEDED:
        if find_spec(name) is None:
            raise ConfigError(
                f"package {name} is not installed",
                where="--onnx",
                hint="`pip install 'fedmvp[onnx]'`",
            )


def write_onnx(folder: Path, predictor: Predictor) -> None:
    """Write model.onnx, onnx.json and classify.py.

    Raises
    ------
    ConfigError
        When the extra is not installed, or ONNX lacks an operator that the method uses.
    """
    spec = predictor.method.backbone.spec
    write_bytes(folder / "model.onnx", onnx_graph(predictor.method, predictor.classes))
    about: dict[str, Any] = {
        "classes": predictor.class_names,
        "opset": OPSET,
        "side": predictor.image_size_px,
        "mean": spec.mean,
        "std": spec.std,
    }
    many = predictor.method.head.many_labels
    about |= {"threshold": predictor.threshold} if many else {"most": 3}
    write_json(folder / "onnx.json", about, sort_keys=False)
    write_bytes(folder / "classify.py", _SCRIPT.read_bytes())


def onnx_graph(method: Method, classes: ClassSet) -> bytes:
    """Return the graph of a method in evaluation mode, classifying among `classes`.

    Raises
    ------
    ConfigError
        See `write_onnx`.
    """
    require_onnx()
    backbone = method.backbone
    if backbone.precision != "fp32":
        raise ConfigError(
            "only fp32 can be written as ONNX",
            where="backbone.precision",
            value=backbone.precision,
            hint="train with precision fp32, or export without --onnx",
        )
    side = method.head.grid * backbone.spec.vision.image_size
    images = torch.zeros(2, 3, side, side, device=backbone.device)
    graph = _Graph(method, classes).eval()
    with torch.no_grad(), _as_products(graph), _quiet():
        graph(images)  # encodes the texts once, so that they are constants
        try:
            program = torch.onnx.export(
                graph,
                (images,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                input_names=["image"],
                output_names=["logits"],
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:  # the exporter raises many kinds of error
            raise ConfigError(
                f"cannot be written as ONNX ({type(error).__name__}: {one_line(str(error), 100)})",
                where=f"method {type(method).__name__}",
                hint="export it without --onnx",
            ) from None
    assert program is not None
    model = program.model_proto
    _forget_source(model.graph)
    for function in model.functions:
        _forget_source(function)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _forget_source(graph: Any) -> None:
    """Remove what the exporter records about our source, such as paths of this machine."""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *getattr(graph, "initializer", ())):
        del part.metadata_props[:]
        part.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget_source(attribute.g)


@contextlib.contextmanager
def _as_products(graph: nn.Module) -> Iterator[None]:
    """Within this context, compute linear maps as matrix products, not as convolutions."""
    maps = tuple(LINEAR.values())
    changed: list[Any] = [m for m in graph.modules() if getattr(m, "linear", None) in maps]
    before = [module.linear for module in changed]
    for module in changed:
        module.linear = LINEAR["matmul"]
    try:
        yield
    finally:
        for module, linear in zip(changed, before, strict=True):
            module.linear = linear


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its libraries' warnings off the terminal."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
