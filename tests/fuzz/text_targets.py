"""Fuzz targets: parsers of YAML, JSON, CSV and plain text."""

from __future__ import annotations

import contextlib

from tests.fuzz.files import folder, written


def params(data: bytes) -> None:
    """Parse params.yaml."""
    from fedmvp.config import load_params

    with written("params.yaml", data) as path:
        load_params(path).model_dump_json()


def setting(data: bytes) -> None:
    """Parse the YAML of a setting."""
    from fedmvp.config import parse_section
    from fedmvp.partition.setting_spec import Setting
    from fedmvp.yaml_files import load_yaml

    with written("setting.yaml", data) as path:
        parse_section(Setting, load_yaml(path), str(path))


def catalog(data: bytes) -> None:
    """Parse a dataset's catalog entry."""
    from fedmvp.catalog.spec import DatasetSpec
    from fedmvp.config import parse_section
    from fedmvp.yaml_files import load_yaml

    with written("entry.yaml", data) as path:
        spec = parse_section(DatasetSpec, load_yaml(path), str(path))
        assert all(name.isprintable() for name in spec.class_names)


def manifest(data: bytes) -> None:
    """Parse the list of a dataset's images."""
    from fedmvp.data.manifest_files import load_manifest, save_manifest

    with written("manifest.json", data) as path:
        loaded = load_manifest(path)
        assert all(".." not in image.path.split("/") for image in loaded.images)
        save_manifest(loaded, path)
        assert load_manifest(path) == loaded


def partition(data: bytes) -> None:
    """Parse clients and targets."""
    from fedmvp.partition.partition_files import load_partition, save_partition

    with written("partition.json", data) as path:
        loaded = load_partition(path)
        save_partition(loaded, path)
        assert load_partition(path) == loaded


def split_file(data: bytes) -> None:
    """Parse a split file of the CoOp kind."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.data.splits import split_rows

    with written("split.json", data) as path:
        for _, name, label in split_rows(load_spec("oxford_pets"), path):
            assert label in range(37)
            assert not name.startswith("/")


def scenes(data: bytes) -> None:
    """Parse recipes of scenes."""
    from fedmvp.data.scene_recipes import read_recipes

    with written("scenes.json", data) as path:
        recipes = read_recipes(path)
        for scene in recipes.scenes:
            for one in scene.objects:
                assert ".." not in one.drawing.split("/") and one.size <= recipes.canvas <= 1024


def instances(data: bytes) -> None:
    """Parse COCO's objects, of images that are there and of others."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.data.readers.layout import ResolvedLayout, read_layout

    spec = load_spec("coco2014")
    base = folder() / "coco"
    for name in ("annotations", "train2014", "val2014"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "train2014" / "1.jpg").touch()
    (base / "val2014" / "1.jpg").touch()
    with written("coco/annotations/instances_train2014.json", data) as path:
        (path.parent / "instances_val2014.json").write_bytes(data)
        for image in read_layout(spec, ResolvedLayout(spec.layout[0], base)):
            assert set(image.labels) <= set(range(80))


def label_table(data: bytes) -> None:
    """Parse MLRSNet's table of one category, and ASL's of NUS-WIDE."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.data.readers.layout import ResolvedLayout, read_layout

    for dataset, table in (("mlrsnet", "labels/beach.csv"), ("nuswide_asl", "nus_wid_data.csv")):
        spec, base = load_spec(dataset), folder() / dataset
        for name in ("Images/beach/1.jpg", "images/1.jpg", table):
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).touch()
        with written(f"{dataset}/{table}", data):
            for image in read_layout(spec, ResolvedLayout(spec.layout[0], base)):
                assert set(image.labels) <= set(range(len(spec.classes)))


def class_list(data: bytes) -> None:
    """Parse a list of class names."""
    from fedmvp.prediction.candidates import read_class_names

    with written("classes.txt", data) as path:
        names = read_class_names(path)
        assert len(set(names)) == len(names)
        assert all(name.isprintable() for name in names)


def attributes(data: bytes) -> None:
    """Parse lists of attributes: a user's, the stage's, and one line of the store."""
    from fedmvp.attributes.class_attributes import load_attributes
    from fedmvp.attributes.record import parse_line
    from fedmvp.prediction.candidates import read_attribute_lists

    with written("lists.json", data) as path:
        read_attribute_lists(path)
    with written("lists.json", data) as path:
        load_attributes(path)
    with written("store.jsonl", data) as path:
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

    with written("rounds.csv", data) as path:
        rows = read_csv(path)
        assert all(isinstance(cell, str) for row in rows for cell in row.values())


def plan(data: bytes) -> None:
    """Read the plan of a federation of sites."""
    from fedmvp.federation.plan import describe, load_plan, require_possible

    with written("plan.json", data) as path:
        found = load_plan(path)
        require_possible(found)
        assert describe(found, "0" * 64)


def site(data: bytes) -> None:
    """Read a site's own file."""
    from fedmvp.federation.site_config import load_site_config

    with written("site.yaml", data) as path:
        assert load_site_config(path).attributes.is_absolute()
