"""A fake accelerator: tensors that say they live on another device, computed on the CPU.

What a GPU refuses is refused here, too: an operation on tensors of two devices. What makes a GPU's
host wait is counted: reading a value, copying to the CPU, results whose size depends on values.
Kernels, memory and autocast are not imitated.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

__all__ = ["DEVICE", "Accelerator"]

DEVICE = "fake"
_ATEN = torch.ops.aten
_TO, _COPY = _ATEN._to_copy.default, _ATEN.copy_.default
_READS = (_ATEN._local_scalar_dense.default, _ATEN.nonzero.default, _ATEN.equal.default)


class _Resident(Tensor):
    """A tensor of the accelerator; `inner` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> _Resident:
        own = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(DEVICE, 0),
            requires_grad=False,
        )
        own.inner = inner
        return own

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} outside of the accelerator's context")


class _Module(_DummyBackendModule):
    """What ``torch.<device>`` would be: torch asks it even where the device is not in use."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device: object = None) -> torch.Tensor:
        """Nothing is drawn on the device; `torch.random.fork_rng` asks all the same."""
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        """Take back what was asked for."""


@cache
def _register() -> None:
    """Make the device known to torch, once a process."""
    _setup_privateuseone_for_python_backend(DEVICE, backend_module=_Module())


class Accelerator(TorchDispatchMode):
    """The context in which the device is there.

    Attributes
    ----------
    operations : Counter of str
        What was done on the device.
    waits : Counter of str
        What the host had to wait for.
    pinned : int
        Copies to page-locked memory.
    """

    def __init__(self) -> None:
        _register()
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.pinned = 0

    def __enter__(self) -> Accelerator:
        # The backward engine has a queue only for devices known when it started: do without.
        self._queues = torch.autograd.set_multithreading_enabled(False)
        # `torch.tensor` is to make its tensor on the CPU and then move it.
        self._lifts = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(self._lifts)
        self._queues.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        resident = any(isinstance(tensor, _Resident) for tensor in tensors)
        there = _made_there(func, args, kwargs, resident)
        if resident:
            self._count(func, tensors, there)
        if func is _ATEN._pin_memory.default:
            self.pinned += 1
            return args[0]
        if there and "device" in kwargs:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        inner_args, inner_kwargs = tree_map_only(_Resident, lambda t: t.inner, (args, kwargs))
        out = func(*inner_args, **inner_kwargs)
        if not there:
            return out
        out = tree_map_only(Tensor, _Resident, out)
        return return_and_correct_aliasing(func, args, kwargs, out) if resident else out

    def _count(self, func: Any, tensors: list[Tensor], there: bool) -> None:
        """Note an operation on the device; refuse one that mixes devices."""
        self.operations[str(func)] += 1
        if func in _READS or not there:
            self.waits[str(func)] += 1
        if func not in (_TO, _COPY):  # torch lets numbers without an axis pass
            strangers = [t for t in tensors if not isinstance(t, _Resident) and t.dim() > 0]
            shapes = [tuple(tensor.shape) for tensor in strangers]
            assert not strangers, f"{func}: tensors of shapes {shapes} are on the CPU"


def _made_there(func: Any, args: Any, kwargs: Any, resident: bool) -> bool:
    """Return whether the result of an operation lives on the device."""
    if func is _COPY:
        return isinstance(args[0], _Resident)
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"]).type == DEVICE
    return resident
