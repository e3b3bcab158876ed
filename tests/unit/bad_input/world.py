"""A whole project in a folder, small enough to be spoilt and refused in milliseconds."""

from __future__ import annotations

import importlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from fedmvp.files import sha256_file
from pipeline.support.stage import run_stage
from tests.paths import ROOT
from tests.toys import attributes_of
from tests.unit.prediction.places import CLASSES, DATASET, furnish, trained, write_result

__all__ = ["ENVIRONMENT", "SETTING", "Outcome", "World", "build", "picture", "zipped"]

SETTING = "small"
STAGES = ("backbone", "download", "attributes", "partition", "train", "evaluate", "zero_shot")
ENVIRONMENT = {
    "FEDMVP_CATALOG": "catalog",
    "FEDMVP_SETTINGS": "settings",
    "FEDMVP_DATA": ".fedmvp/data",
    "FEDMVP_SCRATCH": ".fedmvp/scratch",
}
_FOLD = {
    "train": {"datasets": "all", "classes": "base"},
    "targets": [
        {"group": "local", "each": "client"},
        {"group": "base", "classes": "base"},
        {"group": "new", "classes": "new"},
    ],
}


def picture(size: tuple[int, int] = (9, 8), kind: str = "PNG") -> bytes:
    """Return a grey image file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 120, 90)).save(buffer, kind)
    return buffer.getvalue()


@dataclass(frozen=True)
class Outcome:
    """How a stage or command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class World:
    """The folder, with ways to spoil it."""

    root: Path

    def params(self, **entries: Any) -> None:
        """Change entries of params.yaml, given as section__key."""
        self.edit_yaml("params.yaml", entries)

    def catalog(self, **entries: Any) -> None:
        """Change entries of the dataset's catalog entry."""
        self.edit_yaml(f"catalog/{DATASET}.yaml", entries)

    def edit_yaml(self, file: str, entries: Mapping[str, Any]) -> None:
        """Change entries of a YAML file; None removes one."""
        path = self.root / file
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for dotted, value in entries.items():
            *parents, last = dotted.split("__")
            place = document
            for parent in parents:
                place = place[parent]
            place[last] = value
            if value is None:
                del place[last]
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def edit_json(self, file: str, change: Callable[[Any], object]) -> None:
        """Change a JSON file in place, or replace it by what `change` returns."""
        path = self.root / file
        value = json.loads(path.read_text(encoding="utf-8"))
        replaced = change(value)
        path.write_text(json.dumps(value if replaced is None else replaced), encoding="utf-8")

    def write(self, file: str, content: str | bytes) -> None:
        """Replace a file."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file, which must hold it."""
        text = (self.root / file).read_text(encoding="utf-8")
        assert old in text
        (self.root / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def remove(self, file: str) -> None:
        """Delete a file or folder."""
        path = self.root / file
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def archive(self, content: bytes, **file: Any) -> None:
        """Make the dataset come from an archive instead of a folder."""
        self.remove(f".fedmvp/data/{DATASET}")
        self.write("data/toys.zip", content)
        entry = {
            "path": "data/toys.zip",
            "sha256": sha256_file(self.root / "data/toys.zip"),
            **file,
        }
        self.catalog(sources=[{"kind": "embedded", "files": [entry]}])

    def files(self) -> dict[str, bytes]:
        """Return all files but locks, which hold nothing, and the cache of decoded images."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and path.suffix != ".lock" and ".fedmvp/cache" not in path.as_posix()
        }

    def run(self, *words: str) -> Outcome:
        """Run a stage, or `fedmvp` with these words, in this process."""
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                if words[0] in STAGES:
                    main = importlib.import_module(f"pipeline.{words[0]}").main
                    run_stage((lambda: main(words[1:])) if words[1:] else main)
                else:
                    from fedmvp.cli import app

                    app(list(words))
            except SystemExit as end:
                code = end.code
        return Outcome(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


def build(root: Path) -> World:
    """Fill an empty folder: params, catalog, images, attributes, manifest, partition, a result."""
    world = World(root)
    backbone = furnish(root)
    for domain in ("sketch", "photo"):
        for name in CLASSES:
            for number in range(4):
                file = f".fedmvp/data/{DATASET}/{domain}/{name}/{number}.png"
                world.write(file, picture((9 + number, 8)))
    lists = {name: list(texts) for name, texts in attributes_of(CLASSES).items()}
    world.write("lists.json", json.dumps(lists))
    setting = {"title": "Small", "protocol": "base_to_new", "folds": [_FOLD]}
    world.write(f"settings/own/{SETTING}.yaml", yaml.safe_dump(setting))
    world.write("params.yaml", (ROOT / "params.yaml").read_bytes())
    world.params(
        run={
            "suite": "own",
            "settings": [SETTING],
            "zero_shot": ["zero_shot"],
            "trained": ["fedmvp"],
            "seeds": [1],
        },
        data__datasets=[DATASET],
        attributes={
            "provider": "file",
            "model": "test",
            "template": "visual-v1",
            "per_class": 10,
            "path": "lists.json",
        },
        federation__rounds=1,
        federation__participation=1.0,
        methods__fedmvp__depth=1,  # as the result below has it
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for words in (("download", DATASET), ("partition", SETTING)):
            outcome = world.run(*words)
            assert outcome.code == 0, outcome.err
    result = write_result(root, trained(backbone))
    shutil.copytree(result, root / f"results/{SETTING}/fedmvp/seed1")
    return world


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
