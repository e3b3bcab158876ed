"""Inputs each target takes, made when asked for: a fuzzer starts from them.

``python -m tests.fuzz.seeds FOLDER`` writes them as libFuzzer wants them.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fedmvp.catalog.spec import load_spec
from tests.paths import ROOT

__all__ = ["seeds"]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _params() -> list[bytes]:
    return [(ROOT / "params.yaml").read_bytes(), b"a: &a [1, *a]\n? [x]\n: {2001-01-01: !!set {b}}"]


def _setting() -> list[bytes]:
    return [
        path.read_bytes()
        for path in sorted((ROOT / "fedmvp/partition/settings/emoji").glob("*.yaml"))
    ]


def _catalog() -> list[bytes]:
    names = ("oxford_pets", "ucf101")
    return [(ROOT / f"fedmvp/catalog/datasets/{name}.yaml").read_bytes() for name in names]


def _manifest() -> list[bytes]:
    plain = {
        "dataset": "toys",
        "title": "Toys",
        "template": "a {}.",
        "sentence": {"prefix": "a"},
        "split": {"kind": "drawn", "detail": ""},
        "subset": False,
        "content": "0" * 64,
        "classes": ["cat", "and/or"],
        "domains": ["default"],
        "columns": ["path", "label", "domain", "split"],
        "images": [["cat/1.png", 0, "default", "train"], ["and/1.png", 1, "default", "test"]],
    }
    camera = {"exposure": 0.5, "cast": [1.0, 0.9, 0.8], "noise": 0.1}
    return [_json(plain), _json({**plain, "capture": {"default": camera}})]


def _partition() -> list[bytes]:
    client = {
        "id": "toys-000",
        "fold": "main",
        "dataset": "toys",
        "domain": None,
        "classes": ["cat"],
        "train": ["toys/1.png"],
    }
    target = {
        "name": "toys",
        "fold": "main",
        "group": "base",
        "dataset": "toys",
        "domain": None,
        "classes": ["cat"],
        "images": ["toys/2.png"],
    }
    return [
        _json(
            {
                "setting": "small",
                "protocol": "base_to_new",
                "split": "by_image",
                "official": [],
                "clients": [client],
                "targets": [target],
            }
        )
    ]


def _split_file() -> list[bytes]:
    rows = [["abyssinian_1.jpg", 0, "abyssinian"]]
    return [_json({"train": rows, "val": [], "test": [["abyssinian_2.jpg", 0, "abyssinian"]]})]


def _scenes() -> list[bytes]:
    value = {"canvas": 16, "classes": ["toys/cat"], "styles": ["flat"]}
    return [_json({**value, "scenes": [["default", "test", [[0, 0, 1, 2, 8, 1]]]]})]


def _instances() -> list[bytes]:
    names = [entry.folder for entry in load_spec("coco2014").classes]
    objects = [{"image_id": 1, "category_id": k, "iscrowd": 0} for k in range(len(names))]
    value = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
    }
    return [_json({**value, "annotations": objects})]


def _label_table() -> list[bytes]:
    names = [entry.folder for entry in load_spec("mlrsnet").classes]
    flags = [str(int(name in ("beach", "sea"))) for name in names]
    aerial = f"image,{','.join(names)}\n1.jpg,{','.join(flags)}\n"
    return [aerial.encode(), b"filename,label,split\n1.jpg,\"['sky', 'sun']\",train\n"]


def _class_list() -> list[bytes]:
    return ["cat\nand/or\n\ufeffnaïve 象\n".encode(), b"a\r\nb\x85c"]


def _attributes() -> list[bytes]:
    head = {"dataset": "zoo", "provider": "file", "model": "m", "template": "t"}
    store = (ROOT / "fedmvp/attributes/recorded/animals.jsonl").read_bytes()
    lists = {"ant": ["six legs"], "bee": ["striped fur", "clear wings"]}
    return [_json(lists), _json({**head, "classes": lists}), store.split(b"\n")[0]]


def _llm_answer() -> list[bytes]:
    three = ["long beak", "grey neck", "thin legs"]
    return [
        _json({"attributes": three}),
        b"- long beak\n* **grey neck**\n3) thin legs",
        b"```json\n" + _json(three) + b"\n```",
    ]


def _result_table() -> list[bytes]:
    return [b'fold,round,loss\nmain,0,1.5\n"a ""b"", c",1,\n']


def _archive() -> list[bytes]:
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


def _image() -> list[bytes]:
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


def _learned() -> list[bytes]:
    import torch
    from safetensors.torch import save

    tensors = {"main/x": torch.ones(2, 3), "main/y": torch.zeros(1, dtype=torch.bfloat16)}
    return [save(tensors), save(tensors, metadata={"fedmvp": _json({"method": "fedmvp"}).decode()})]


def _checkpoint() -> list[bytes]:
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


def _official() -> list[bytes]:
    from tests.unit.prediction.places import official_state

    content = {"state_dict": official_state(2, 3, rank=1), "epoch": 1}
    return [_saved(content), _saved(content, legacy=True)]


def _clip_weights() -> list[bytes]:
    import torch

    model = torch.nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = io.BytesIO()
        torch.jit.save(torch.jit.script(model), program)
    return [program.getvalue(), _saved(model.state_dict()), _saved({"state_dict": {}})]


def _backbone() -> list[bytes]:
    from tests.random_clip import backbone_spec

    return [backbone_spec("tiny").model_dump_json().encode()]


def _message() -> list[bytes]:
    import torch

    from fedmvp.federation.messages import EvaluateReply, Refusal, TrainJob, TrainReply
    from fedmvp.federation.wire import encode

    tensors = {"w": torch.ones(2, 3)}
    return [
        encode(TrainJob("run", "a", 1, 0, 0.1, tensors, tensors)),
        encode(TrainReply("a", 1, 7, "all", {"loss": 0.5}, 24, tensors)),
        encode(EvaluateReply("a", 2, {"known": {"right": [1], "total": [2]}}, ["new"])),
        encode(Refusal("a", 1, "OSError: see the site's own log", "site.py:1 in train")),
    ]


def _plan() -> list[bytes]:
    from tests.toys import FEDERATION

    whole = {"name": "run", "method": "promptfl", "section": {"n_context": 2}, "seed": 1}
    whole |= {"federation": FEDERATION, "clients": ["a", "b"], "backbone": {"sha256": "0" * 64}}
    return [_json(whole)]


def _site() -> list[bytes]:
    images = {"tree": "images", "template": "a {}", "test_share": 0.5}
    whole = {"client": "a", "images": images, "attributes": "a.json", "backbone": "clip"}
    return [_json({**whole, "known": ["cat"], "shots": 4, "share": {"metrics": ["loss"]}})]


_MAKERS: Sequence[Callable[[], list[bytes]]] = (
    _params,
    _setting,
    _catalog,
    _manifest,
    _partition,
    _split_file,
    _scenes,
    _instances,
    _label_table,
    _class_list,
    _attributes,
    _llm_answer,
    _result_table,
    _archive,
    _image,
    _learned,
    _checkpoint,
    _official,
    _clip_weights,
    _backbone,
    _message,
    _plan,
    _site,
)


def seeds(target: str) -> list[bytes]:
    """Return the inputs a target starts from."""
    makers = {maker.__name__.removeprefix("_"): maker for maker in _MAKERS}
    return makers[target]()


def main(folder: Path) -> None:
    """Write every target's seeds below `folder`."""
    for maker in _MAKERS:
        name = maker.__name__.removeprefix("_")
        for number, data in enumerate(maker()):
            path = folder / name / f"seed-{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
