"""Inputs of the targets that parse text."""

from __future__ import annotations

import json
from typing import Any

from fedmvp.catalog.spec import load_spec
from tests.paths import ROOT


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def params() -> list[bytes]:
    return [(ROOT / "params.yaml").read_bytes(), b"a: &a [1, *a]\n? [x]\n: {2001-01-01: !!set {b}}"]


def setting() -> list[bytes]:
    return [
        path.read_bytes()
        for path in sorted((ROOT / "fedmvp/partition/settings/emoji").glob("*.yaml"))
    ]


def catalog() -> list[bytes]:
    names = ("oxford_pets", "ucf101")
    return [(ROOT / f"fedmvp/catalog/datasets/{name}.yaml").read_bytes() for name in names]


def manifest() -> list[bytes]:
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


def partition() -> list[bytes]:
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


def split_file() -> list[bytes]:
    rows = [["abyssinian_1.jpg", 0, "abyssinian"]]
    return [_json({"train": rows, "val": [], "test": [["abyssinian_2.jpg", 0, "abyssinian"]]})]


def scenes() -> list[bytes]:
    value = {"canvas": 16, "classes": ["toys/cat"], "styles": ["flat"]}
    return [_json({**value, "scenes": [["default", "test", [[0, 0, 1, 2, 8, 1]]]]})]


def instances() -> list[bytes]:
    names = [entry.folder for entry in load_spec("coco2014").classes]
    objects = [{"image_id": 1, "category_id": k, "iscrowd": 0} for k in range(len(names))]
    value = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
    }
    return [_json({**value, "annotations": objects})]


def label_table() -> list[bytes]:
    names = [entry.folder for entry in load_spec("mlrsnet").classes]
    flags = [str(int(name in ("beach", "sea"))) for name in names]
    aerial = f"image,{','.join(names)}\n1.jpg,{','.join(flags)}\n"
    return [aerial.encode(), b"filename,label,split\n1.jpg,\"['sky', 'sun']\",train\n"]


def class_list() -> list[bytes]:
    return ["cat\nand/or\n\ufeffnaïve 象\n".encode(), b"a\r\nb\x85c"]


def attributes() -> list[bytes]:
    head = {"dataset": "zoo", "provider": "file", "model": "m", "template": "t"}
    store = (ROOT / "fedmvp/attributes/recorded/animals.jsonl").read_bytes()
    lists = {"ant": ["six legs"], "bee": ["striped fur", "clear wings"]}
    return [_json(lists), _json({**head, "classes": lists}), store.split(b"\n")[0]]


def llm_answer() -> list[bytes]:
    three = ["long beak", "grey neck", "thin legs"]
    return [
        _json({"attributes": three}),
        b"- long beak\n* **grey neck**\n3) thin legs",
        b"```json\n" + _json(three) + b"\n```",
    ]


def result_table() -> list[bytes]:
    return [b'fold,round,loss\nmain,0,1.5\n"a ""b"", c",1,\n']


def plan() -> list[bytes]:
    from tests.toys import FEDERATION

    whole = {"name": "run", "method": "promptfl", "section": {"n_context": 2}, "seed": 1}
    whole |= {"federation": FEDERATION, "clients": ["a", "b"], "backbone": {"sha256": "0" * 64}}
    return [_json(whole)]


def site() -> list[bytes]:
    images = {"tree": "images", "template": "a {}", "test_share": 0.5}
    whole = {"client": "a", "images": images, "attributes": "a.json", "backbone": "clip"}
    return [_json({**whole, "known": ["cat"], "shots": 4, "share": {"metrics": ["loss"]}})]
