"""What onnxruntime takes for a batch, as a ratio to torch on the same images in the same run.

    python -m benchmarks.onnx_latency --backbone pictoclip --batches 1 8
    python -m benchmarks.onnx_latency --backbone ViT-B-16-quickgelu --batches 1 8

Towers have the named sizes and random weights, on which time does not depend; FedMVP has the
parameters of the default profile, a bank of 10 attributes for each of 20 classes. Both take turns,
on as many threads; needs the extra ``onnx``. Ratios are of wall and of processor time; the largest
difference of logits is printed, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.scaling import backbone_of
from fedmvp.devices import prepare_device
from fedmvp.export.onnx import OPSET, onnx_graph
from fedmvp.methods.build import build_method, method_params
from fedmvp.profiles import profile_params
from fedmvp.profiling.inputs import build_scene
from fedmvp.profiling.timing import measure

_CLASSES, _ATTRIBUTES = 20, 10


def session_of(graph: bytes) -> Any:
    """Return a session on the CPU with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Build both, time both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbone", default="pictoclip", help="pictoclip or an open_clip model")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repetitions", type=int, default=15)
    chosen = parser.parse_args(arguments)
    backbone = backbone_of(chosen.backbone, prepare_device("cpu"))
    section = profile_params("default").methods["fedmvp"]
    method = build_method("fedmvp", backbone, method_params("fedmvp", section), 1)
    method.enter(None)
    scene = build_scene(
        backbone, classes=_CLASSES, attributes=_ATTRIBUTES, batch=max(chosen.batches)
    )
    classes = scene.data.classes
    session = session_of(onnx_graph(method, classes))
    print(f"{chosen.backbone}, opset {OPSET}, {torch.get_num_threads()} threads")
    print("| images | onnxruntime / torch | CPU ratio | largest difference |\n|---|---|---|---|")
    for count in chosen.batches:
        images = backbone.normalise(np.asarray(scene.data.images[:count]))
        given = {"image": images.numpy()}
        (found,) = session.run(None, given)
        difference = np.abs(found - method.logits(images, classes).numpy()).max()
        costs = measure(
            {
                "torch": partial(method.logits, images, classes),
                "onnx": partial(session.run, None, given),
            },
            chosen.repetitions,
            backbone.device,
        )
        ours, theirs = costs["torch"], costs["onnx"]
        ratios = theirs.seconds / ours.seconds, theirs.cpu_seconds / ours.cpu_seconds
        print(f"| {count} | {ratios[0]:.2f} | {ratios[1]:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
