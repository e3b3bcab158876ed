"""What a client's optimizer step costs: one fused kernel against tensor by tensor, interleaved.

    python -m benchmarks.optimizers --backbone pictoclip
    FEDMVP_DEVICE=cuda python -m benchmarks.optimizers --backbone ViT-B-16-quickgelu

steps over FedMVP's first-phase tensors and prints one line per optimizer: the fused step's median
time, the other's as a multiple of it, and how far apart the weights are after all steps.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from torch import Tensor

from benchmarks.scaling import backbone_of
from fedmvp.config import FederationParams, load_params
from fedmvp.devices import prepare_device
from fedmvp.federation.optimizers import OPTIMIZERS, Step
from fedmvp.methods.build import build_method, method_params
from fedmvp.profiling.timing import measure

_RATE = 0.001
Tensors = dict[str, Tensor]


class Run:
    """One optimizer's steps on weights and a state of its own."""

    def __init__(
        self, step: Step, start: Tensors, gradients: Tensors, params: FederationParams
    ) -> None:
        self.step, self.gradients, self.params = step, gradients, params
        self.weights = {name: tensor.clone() for name, tensor in start.items()}
        self.state: Tensors = {}

    def __call__(self) -> None:
        """Take one step."""
        self.step(self.weights, self.gradients, self.state, self.params, _RATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="pictoclip")
    parser.add_argument("--repetitions", type=int, default=50)
    options = parser.parse_args()
    backbone = backbone_of(options.backbone, prepare_device())
    method = build_method("fedmvp", backbone, method_params("fedmvp", {}), seed=1)
    method.to(backbone.device)
    own = method.tensors()
    start = {name: own[name].detach() for name in method.trainable(method.first_phase)}
    draw = torch.Generator().manual_seed(1)
    gradients = {
        name: (0.01 * torch.randn(tensor.shape, generator=draw)).to(tensor.device)
        for name, tensor in start.items()
    }
    count = sum(tensor.numel() for tensor in start.values())
    print(f"{count:,} numbers in {len(start)} tensors on {backbone.device}")
    params = load_params().federation
    for name, step in OPTIMIZERS.items():
        fused = Run(partial(step, fused=True), start, gradients, params)
        plain = Run(partial(step, fused=False), start, gradients, params)
        costs = measure({"fused": fused, "plain": plain}, options.repetitions, backbone.device)
        apart = max(float((fused.weights[k] - plain.weights[k]).abs().max()) for k in start)
        unit = costs["fused"].seconds
        print(
            f"{name}: fused {1000 * unit:.2f} ms, tensor by tensor "
            f"{costs['plain'].seconds / unit:.1f} times that; weights {apart:.1e} apart"
        )


if __name__ == "__main__":
    main()
