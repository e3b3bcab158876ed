"""Optimizers, learning-rate schedule and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["MovingAverage", "make_optimizers", "multiplier"]


def multiplier(done: int, total: int, warmup: int, cooldown_fraction: float) -> float:
    """Return the learning-rate factor after `done` of `total` units of work.

    Linear warm-up, constant, then a square-root-shaped cool-down to zero (warmup-stable-decay,
    Hu et al. 2024, "MiniCPM", section 4; shape after Haegele et al. 2024): a checkpoint of the
    constant part can be cooled down early or trained on.
    """
    if done < warmup:
        return (done + 1) / warmup
    start = total * (1 - cooldown_fraction)
    if done < start:
        return 1.0
    return max(0.0, 1 - float(((done - start) / max(1.0, total - start)) ** 0.5))


def make_optimizers(
    named: Iterable[tuple[str, nn.Parameter]], muon_rate: float, adam_rate: float, decay: float
) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the residual blocks and AdamW for everything else.

    Muon: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; update
    scaled to AdamW's root mean square as in Liu et al. 2025, "Muon is Scalable", section 2.2.
    """
    matrices: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in named:
        if "resblocks" in name and parameter.ndim == 2:
            matrices.append(parameter)
        elif parameter.ndim >= 2 and "embedding" not in name:
            decayed.append(parameter)
        else:
            free.append(parameter)
    groups = [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=adam_rate, betas=(0.9, 0.98), fused=True
    )
    if not matrices:
        return [adam]
    muon = torch.optim.Muon(
        matrices, lr=muon_rate, weight_decay=decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, adam]


class MovingAverage:
    """Exponential moving average of tensors, with a start that is not biased to the first."""

    def __init__(self, values: dict[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {name: value.detach().clone() for name, value in values.items()}

    @torch.no_grad()
    def update(self, values: dict[str, Tensor]) -> None:
        """Move towards `values`."""
        self.steps += 1
        rate = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in values.items():
            self.values[name].lerp_(value.detach(), rate)

    def load(self, values: dict[str, Tensor], steps: int) -> None:
        """Go on from saved values, on the device of the present ones."""
        self.values = {name: values[name].to(own.device) for name, own in self.values.items()}
        self.steps = steps
