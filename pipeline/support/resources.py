"""How much memory and disk a stage will take, printed before it starts: estimates, not limits."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable

from fedmvp.clip.spec import BackboneSpec
from fedmvp.data.images import cache_limit_bytes
from fedmvp.partition.model import Client, Target
from fedmvp.paths import cache_root

__all__ = ["decoded_bytes", "memory_bytes", "tell_resources"]

_GIB = 1 << 30
# The interpreter with torch, before any tensor.
_PROCESS_BYTES = 450 << 20


def decoded_bytes(parts: Iterable[Client | Target], image_size_px: int) -> int:
    """Return the size of the decoded images of clients or targets.

    Each client's images are a separate array; the targets of a dataset share one.
    """
    clients: set[tuple[str, tuple[str, ...]]] = set()
    tested: set[tuple[str, str]] = set()
    for part in parts:
        if isinstance(part, Client):
            clients.add((part.dataset, part.train))
        else:
            tested |= {(part.dataset, name) for name in part.images}
    count = len(tested) + sum(len(ids) for _, ids in clients)
    return count * 3 * image_size_px**2


def memory_bytes(
    spec: BackboneSpec, weights_bytes: int, batch: int, *, training: bool, half: bool
) -> int:
    """Estimate the memory of a process: itself, the towers, one batch of images passing through.

    One pass of a training step has gradients; the frozen view's has none. Decoded images are
    memory-mapped and stay on disk.
    """
    batch_bytes = batch * spec.vision.activations(training=training) * (2 if half else 4)
    return _PROCESS_BYTES + weights_bytes + batch_bytes


def tell_resources(title: str, disk_bytes: int, memory: int) -> None:
    """Print on stderr what a stage needs and what is free."""
    folder = next(p for p in (cache_root(), *cache_root().absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    print(
        f"{title}: about {memory / _GIB:.1f} GiB of memory; {_size(disk_bytes)} of decoded images "
        f"in {cache_root()} (free {_size(free)}, limit {_size(cache_limit_bytes())})",
        file=sys.stderr,
        flush=True,
    )


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB // 10 else f"{count / (1 << 20):.0f} MiB"
