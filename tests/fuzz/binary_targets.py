"""Fuzz targets: readers of archives, images, tensors and messages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil

from tests.fuzz.files import folder, written


def archive(data: bytes) -> None:
    """Extract an archive: nothing may appear outside its folder."""
    from fedmvp.data.fetch.archives import extract

    inside = folder() / "inside"
    target = inside / "deep" / "target"
    try:
        with written("archive", data) as path:
            extract(path, target)
        assert {path.name for path in inside.iterdir()} == {"deep"}
        assert {path.name for path in target.parent.iterdir()} == {"target"}
        assert not any(path.is_symlink() for path in target.rglob("*"))
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def image(data: bytes) -> None:
    """Decode an image."""
    from fedmvp.data.decode import decode_image

    with written("image", data) as path:
        assert decode_image(path, 8).shape == (8, 8, 3)


def learned(data: bytes) -> None:
    """Read learned tensors."""
    from fedmvp.results.learned import read_learned

    with written("learned.safetensors", data) as path:
        assert all(bool(t.isfinite().all()) for t in read_learned(path).tensors.values())


def checkpoint(data: bytes) -> None:
    """Read a checkpoint of a round whose name holds the right hash, as only we write one."""
    from fedmvp.federation.checkpoint import CheckpointFolder

    rounds = folder() / "rounds"
    rounds.mkdir(exist_ok=True)
    path = rounds / f"round-000001-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    path.write_bytes(data)
    found = CheckpointFolder(rounds).newest()
    assert found is None or isinstance(found.rounds_done, int)
    path.unlink()


def official(data: bytes) -> None:
    """Read a checkpoint of the official code."""
    from fedmvp.methods.official_checkpoint import read_official

    with written("model.pth.tar-1", data) as path:
        assert len(read_official(path).state) == 22


def clip_weights(data: bytes) -> None:
    """Read a CLIP's local weights: a state dict or a TorchScript archive."""
    from fedmvp.clip.weight_files import read_state

    with written("clip.pt", data) as path:
        assert all(isinstance(key, str) for key in read_state(path))


def backbone(data: bytes) -> None:
    """Read a backbone's description."""
    from fedmvp.clip.backbone import load_backbone
    from fedmvp.files import sha256_bytes

    with written("weights.safetensors", b"none"):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            value = json.loads(data)
            value["tower_sha256"] = sha256_bytes(b"none")
            data = json.dumps(value).encode()
        (folder() / "spec.json").write_bytes(data)
        load_backbone(folder())


def message(data: bytes) -> None:
    """Read what a site, or a server, sends."""
    from fedmvp.federation.messages import (
        EvaluateReply,
        Refusal,
        StartReply,
        TrainJob,
        TrainReply,
    )
    from fedmvp.federation.wire import decode, encode

    kinds: tuple[type[TrainJob | TrainReply | StartReply | EvaluateReply | Refusal], ...]
    kinds = (TrainJob, TrainReply, StartReply, EvaluateReply, Refusal)
    with written("message", data):
        found = decode(data, kinds, {"w": (2, 3)}, limit=1 << 20, where="reply of site a")
        assert encode(found)
