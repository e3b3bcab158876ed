"""How many kernels a step of FedMVP launches: what a GPU's host has to do per step.

    python -m benchmarks.launches --backbone ViT-B-16-quickgelu

runs each step once on the CPU and prints its operations that compute something. On a GPU each of
them is a kernel or two.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.scaling import backbone_of
from fedmvp.profiling.inputs import build_scene
from fedmvp.profiling.workloads import method_parts

_FREE = {"detach", "empty", "empty_like", "empty_strided", "new_empty_strided", "_unsafe_view"}


class _Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations but those that only make or rename memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if not func.is_view and name not in _FREE:
            self.count[name] += 1
        return func(*args, **(kwargs or {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="pictoclip")
    parser.add_argument("--classes", type=int, default=20)
    options = parser.parse_args()
    backbone = backbone_of(options.backbone, torch.device("cpu"))
    scene = build_scene(backbone, classes=options.classes, attributes=10, batch=2)
    for name, part in method_parts(scene).items():
        if name not in ("training step", "evaluation step"):
            continue
        part()  # what is computed once is there
        with torch.autograd.set_multithreading_enabled(False), _Launches() as launches:
            part()
        most = ", ".join(f"{count} {kind}" for kind, count in launches.count.most_common(6))
        print(f"{name}: {sum(launches.count.values())} operations; {most}")


if __name__ == "__main__":
    main()
