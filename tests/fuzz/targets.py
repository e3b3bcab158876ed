"""What is fuzzed: every parser of bytes that come from elsewhere.

A target takes any bytes and returns. It may refuse them with the error its callers expect and
nothing else; what it accepts, it checks. `tests/fuzz/run.py` drives one with coverage-guided
fuzzing, `tests/fuzz/test_targets.py` replays the corpus and seeded mutations of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from fedmvp.errors import FedMVPError

__all__ = ["TARGETS"]


@cache
def _folder() -> Path:
    """Return the folder files are parsed in; in memory where there is one."""
    shared = Path("/dev/shm")  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="fedmvp-fuzz-", dir=shared if shared.is_dir() else None))


@contextlib.contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    """Write a file; the only error that may leave is one with a hint, told in one line."""
    path = _folder() / name
    path.write_bytes(data)
    try:
        yield path
    except FedMVPError as error:
        line = str(error)
        assert "; hint: " in line
        assert line.isprintable()


def params(data: bytes) -> None:
    """Parse params.yaml."""
    from fedmvp.config import load_params

    with _file("params.yaml", data) as path:
        load_params(path).model_dump_json()


def setting(data: bytes) -> None:
    """Parse the YAML of a setting."""
    from fedmvp.config import parse_section
    from fedmvp.partition.setting_spec import Setting
    from fedmvp.yaml_files import load_yaml

    with _file("setting.yaml", data) as path:
        parse_section(Setting, load_yaml(path), str(path))


def catalog(data: bytes) -> None:
    """Parse a dataset's catalog entry."""
    from fedmvp.catalog.spec import DatasetSpec
    from fedmvp.config import parse_section
    from fedmvp.yaml_files import load_yaml

    with _file("entry.yaml", data) as path:
        spec = parse_section(DatasetSpec, load_yaml(path), str(path))
        assert all(name.isprintable() for name in spec.class_names)


def manifest(data: bytes) -> None:
    """Parse the list of a dataset's images."""
    from fedmvp.data.manifest_files import load_manifest, save_manifest

    with _file("manifest.json", data) as path:
        loaded = load_manifest(path)
        assert all(".." not in image.path.split("/") for image in loaded.images)
        save_manifest(loaded, path)
        assert load_manifest(path) == loaded


def partition(data: bytes) -> None:
    """Parse clients and targets."""
    from fedmvp.partition.partition_files import load_partition, save_partition

    with _file("partition.json", data) as path:
        loaded = load_partition(path)
        save_partition(loaded, path)
        assert load_partition(path) == loaded


def split_file(data: bytes) -> None:
    """Parse a split file of the CoOp kind."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.data.splits import split_rows

    with _file("split.json", data) as path:
        for _, name, label in split_rows(load_spec("oxford_pets"), path):
            assert label in range(37)
            assert not name.startswith("/")


def scenes(data: bytes) -> None:
    """Parse recipes of scenes."""
    from fedmvp.data.scene_recipes import read_recipes

    with _file("scenes.json", data) as path:
        recipes = read_recipes(path)
        for scene in recipes.scenes:
            for one in scene.objects:
                assert ".." not in one.drawing.split("/") and one.size <= recipes.canvas <= 1024


def instances(data: bytes) -> None:
    """Parse COCO's objects, of images that are there and of others."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.data.readers.layout import ResolvedLayout, read_layout

    spec = load_spec("coco2014")
    base = _folder() / "coco"
    for name in ("annotations", "train2014", "val2014"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "train2014" / "1.jpg").touch()
    (base / "val2014" / "1.jpg").touch()
    with _file("coco/annotations/instances_train2014.json", data) as path:
        (path.parent / "instances_val2014.json").write_bytes(data)
        for image in read_layout(spec, ResolvedLayout(spec.layout[0], base)):
            assert set(image.labels) <= set(range(80))


def label_table(data: bytes) -> None:
    """Parse MLRSNet's table of one category, and ASL's of NUS-WIDE."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.data.readers.layout import ResolvedLayout, read_layout

    for dataset, table in (("mlrsnet", "labels/beach.csv"), ("nuswide_asl", "nus_wid_data.csv")):
        spec, base = load_spec(dataset), _folder() / dataset
        for name in ("Images/beach/1.jpg", "images/1.jpg", table):
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).touch()
        with _file(f"{dataset}/{table}", data):
            for image in read_layout(spec, ResolvedLayout(spec.layout[0], base)):
                assert set(image.labels) <= set(range(len(spec.classes)))


def class_list(data: bytes) -> None:
    """Parse a list of class names."""
    from fedmvp.prediction.candidates import read_class_names

    with _file("classes.txt", data) as path:
        names = read_class_names(path)
        assert len(set(names)) == len(names)
        assert all(name.isprintable() for name in names)


def attributes(data: bytes) -> None:
    """Parse lists of attributes: a user's, the stage's, and one line of the store."""
    from fedmvp.attributes.class_attributes import load_attributes
    from fedmvp.attributes.record import parse_line
    from fedmvp.prediction.candidates import read_attribute_lists

    with _file("lists.json", data) as path:
        read_attribute_lists(path)
    with _file("lists.json", data) as path:
        load_attributes(path)
    with _file("store.jsonl", data) as path:
        answer = parse_line(data, path, 1)
        assert parse_line(answer.to_line().rstrip(b"\n"), path, 1) == answer


def llm_answer(data: bytes) -> None:
    """Parse a language model's answer."""
    from fedmvp.attributes.parsing import AnswerError, parse_answer

    text = data.decode("utf-8", "replace")
    with contextlib.suppress(AnswerError):
        assert len(parse_answer(text, class_name="heron", count=3)) == 3


def result_table(data: bytes) -> None:
    """Parse a CSV file of results."""
    from fedmvp.csv_files import read_csv

    with _file("rounds.csv", data) as path:
        rows = read_csv(path)
        assert all(isinstance(cell, str) for row in rows for cell in row.values())


def archive(data: bytes) -> None:
    """Extract an archive: nothing may appear outside its folder."""
    from fedmvp.data.fetch.archives import extract

    inside = _folder() / "inside"
    target = inside / "deep" / "target"
    try:
        with _file("archive", data) as path:
            extract(path, target)
        assert {path.name for path in inside.iterdir()} == {"deep"}
        assert {path.name for path in target.parent.iterdir()} == {"target"}
        assert not any(path.is_symlink() for path in target.rglob("*"))
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def image(data: bytes) -> None:
    """Decode an image."""
    from fedmvp.data.decode import decode_image

    with _file("image", data) as path:
        assert decode_image(path, 8).shape == (8, 8, 3)


def learned(data: bytes) -> None:
    """Read learned tensors."""
    from fedmvp.results.learned import read_learned

    with _file("learned.safetensors", data) as path:
        assert all(bool(t.isfinite().all()) for t in read_learned(path).tensors.values())


def checkpoint(data: bytes) -> None:
    """Read a checkpoint of a round whose name holds the right hash, as only we write one."""
    from fedmvp.federation.checkpoint import CheckpointFolder

    folder = _folder() / "rounds"
    folder.mkdir(exist_ok=True)
    path = folder / f"round-000001-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    path.write_bytes(data)
    found = CheckpointFolder(folder).newest()
    assert found is None or isinstance(found.rounds_done, int)
    path.unlink()


def official(data: bytes) -> None:
    """Read a checkpoint of the official code."""
    from fedmvp.methods.official_checkpoint import read_official

    with _file("model.pth.tar-1", data) as path:
        assert len(read_official(path).state) == 22


def clip_weights(data: bytes) -> None:
    """Read a CLIP's local weights: a state dict or a TorchScript archive."""
    from fedmvp.clip.weight_files import read_state

    with _file("clip.pt", data) as path:
        assert all(isinstance(key, str) for key in read_state(path))


def backbone(data: bytes) -> None:
    """Read a backbone's description."""
    from fedmvp.clip.backbone import load_backbone
    from fedmvp.files import sha256_bytes

    with _file("weights.safetensors", b"none"):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            value = json.loads(data)
            value["tower_sha256"] = sha256_bytes(b"none")
            data = json.dumps(value).encode()
        (_folder() / "spec.json").write_bytes(data)
        load_backbone(_folder())


def message(data: bytes) -> None:
    """Read what a site, or a server, sends."""
    from fedmvp.federation.messages import EvaluateReply, Refusal, TrainJob, TrainReply
    from fedmvp.federation.wire import decode, encode

    kinds: tuple[type[TrainJob | TrainReply | EvaluateReply | Refusal], ...]
    kinds = (TrainJob, TrainReply, EvaluateReply, Refusal)
    with _file("message", data):
        found = decode(data, kinds, {"w": (2, 3)}, limit=1 << 20, where="reply of site a")
        assert encode(found)


def plan(data: bytes) -> None:
    """Read the plan of a federation of sites."""
    from fedmvp.federation.plan import describe, load_plan, require_possible

    with _file("plan.json", data) as path:
        found = load_plan(path)
        require_possible(found)
        assert describe(found, "0" * 64)


def site(data: bytes) -> None:
    """Read a site's own file."""
    from fedmvp.federation.site_config import load_site_config

    with _file("site.yaml", data) as path:
        assert load_site_config(path).attributes.is_absolute()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        params,
        setting,
        catalog,
        manifest,
        partition,
        split_file,
        scenes,
        instances,
        label_table,
        class_list,
        attributes,
        llm_answer,
        result_table,
        archive,
        image,
        learned,
        checkpoint,
        official,
        clip_weights,
        backbone,
        message,
        plan,
        site,
    )
}
