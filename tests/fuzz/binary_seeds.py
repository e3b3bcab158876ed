"""Inputs of the targets that read archives, images, tensors and messages."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile


def archive() -> list[bytes]:
    made = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", kind) as opened:
            opened.writestr("a/b.png", b"content" * 9)
            opened.writestr("../out", b"")
        made.append(buffer.getvalue())
    for mode in ("w:", "w:gz", "w:xz", "w:bz2"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
            info = tarfile.TarInfo("a/b.png")
            info.size = 7
            tar.addfile(info, io.BytesIO(b"content"))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc"
            tar.addfile(link)
        made.append(buffer.getvalue())
    return made


def image() -> list[bytes]:
    from PIL import Image

    made = []
    for mode, kind in (
        ("RGB", "PNG"),
        ("RGBA", "WEBP"),
        ("CMYK", "JPEG"),
        ("P", "GIF"),
        ("I;16", "TIFF"),
        ("L", "BMP"),
    ):
        buffer = io.BytesIO()
        Image.new(mode, (9, 12)).save(buffer, kind)
        made.append(buffer.getvalue())
    return made


def learned() -> list[bytes]:
    import torch
    from safetensors.torch import save

    tensors = {"main/x": torch.ones(2, 3), "main/y": torch.zeros(1, dtype=torch.bfloat16)}
    return [save(tensors), save(tensors, metadata={"fedmvp": json.dumps({"method": "fedmvp"})})]


def checkpoint() -> list[bytes]:
    import torch

    from fedmvp.federation.checkpoint import Checkpoint

    def ones() -> dict[str, torch.Tensor]:
        return {"x": torch.ones(2)}

    row = {"client": "a", "loss": 0.5}
    whole = Checkpoint(1, ones(), ones(), [row], [], ones())
    return [whole.to_bytes()]


def _saved(value: object, *, legacy: bool = False) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def official() -> list[bytes]:
    from tests.unit.prediction.places import official_state

    content = {"state_dict": official_state(2, 3, rank=1), "epoch": 1}
    return [_saved(content), _saved(content, legacy=True)]


def clip_weights() -> list[bytes]:
    import torch

    model = torch.nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = io.BytesIO()
        torch.jit.save(torch.jit.script(model), program)
    return [program.getvalue(), _saved(model.state_dict()), _saved({"state_dict": {}})]


def backbone() -> list[bytes]:
    from tests.random_clip import backbone_spec

    return [backbone_spec("tiny").model_dump_json().encode()]


def message() -> list[bytes]:
    import torch

    from fedmvp.federation.messages import (
        EvaluateReply,
        Refusal,
        StartReply,
        TrainJob,
        TrainReply,
    )
    from fedmvp.federation.wire import encode

    tensors = {"w": torch.ones(2, 3)}
    return [
        encode(TrainJob("run", "a", 1, 0, 0.1, tensors, tensors)),
        encode(TrainReply("a", 1, 7, "all", {"loss": 0.5}, 24, tensors)),
        encode(StartReply("a", 0, 9.5, 12, 3, 40)),
        encode(EvaluateReply("a", 2, {"known": {"right": [1], "total": [2]}}, ["new"])),
        encode(Refusal("a", 1, "OSError: see the site's own log", "site.py:1 in train")),
    ]
