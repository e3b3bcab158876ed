"""Makes a site's job process misbehave: FEDMVP_TEST_FAULTS says in which round, and how.

Python runs this by itself in every process of the site. What a site's owner may do to it cannot be
forbidden, so the server must bear it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

_FAULTS = json.loads(os.environ.get("FEDMVP_TEST_FAULTS", "{}"))
_AHEAD_S = float(os.environ.get("FEDMVP_TEST_CLOCK", "0"))


def _is_job() -> bool:
    return b"worker_process" in Path("/proc/self/cmdline").read_bytes()


def _set_clock() -> None:
    real = time.time
    time.time = lambda: real() + _AHEAD_S


def _install() -> None:
    from fedmvp.federation import wire
    from fedmvp.federation.flare import opening

    original = opening.open_site

    def open_site(kit: Any) -> Any:
        site = original(kit)
        handle, replies = site.handle, []

        def misbehaving(content: bytes) -> bytes:
            number = wire.round_of(content)
            fault = _FAULTS.get(str(number)) if b"learning_rate" in content[:4000] else None
            if fault is None:
                fault = _FAULTS.get("all") if number >= 0 else None
            if fault == "hang":
                time.sleep(float(os.environ["FEDMVP_TEST_HANG"]))
            if fault == "slow":
                time.sleep(0.5)
            if fault == "full disk":
                _fill_disk()
            reply = handle(content)
            replies.append(reply)
            return _SPOIL[fault](reply, site, replies) if fault in _SPOIL else reply

        site.handle = misbehaving
        if "FEDMVP_TEST_NO_FILTER" in os.environ:
            site.check_reply = lambda content: None
        return site

    opening.open_site = open_site


def _with_tensors(reply: bytes, site: Any, change: Any) -> bytes:
    from dataclasses import replace

    from fedmvp.federation import messages, wire

    shapes = site.shapes
    limit = wire.reply_limit(shapes)
    update = wire.decode(reply, (messages.TrainReply,), shapes, limit=limit, where="test")
    return wire.encode(replace(update, tensors=change(dict(update.tensors))))


def _fill_disk() -> None:
    import errno

    from fedmvp.federation import states

    def full(path: Path, content: bytes) -> None:
        states.write_bytes = real
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    real = states.write_bytes
    states.write_bytes = full


_SPOIL = {
    "nan": lambda reply, site, old: _with_tensors(
        reply, site, lambda tensors: {name: t * float("nan") for name, t in tensors.items()}
    ),
    "names": lambda reply, site, old: _with_tensors(
        reply, site, lambda tensors: {f"{name}_x": t for name, t in tensors.items()}
    ),
    "dtype": lambda reply, site, old: _with_tensors(
        reply, site, lambda tensors: {name: t.double() for name, t in tensors.items()}
    ),
    "huge": lambda reply, site, old: bytes(300 << 20),
    "again": lambda reply, site, old: old[-2],
}

if _AHEAD_S:
    _set_clock()
if _FAULTS and _is_job():
    _install()
