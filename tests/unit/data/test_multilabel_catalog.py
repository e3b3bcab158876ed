"""The five multi-label datasets: names, orders, numbers, and miniatures in their true layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmvp.catalog.layouts import CocoInstances, NusWideLists, VocLists
from fedmvp.catalog.spec import DatasetSpec, load_spec
from fedmvp.config import parse_section
from fedmvp.data.build import build_manifest
from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.manifest_files import load_manifest, save_manifest
from fedmvp.data.sources import SUBSET
from fedmvp.errors import ConfigError, DataError
from tests.miniatures import MULTI, build_dataset
from tests.miniatures.multilabel import labels_of, voc_trees
from tests.miniatures.writing import Folder

SIZES = {
    "voc2007": (20, 9963),
    "voc2007_fedmpt": (20, 7453),
    "coco2014": (80, 123_287),
    "coco2014_48_17": (65, None),
    "nuswide": (81, 269_648),
    "nuswide_labelled": (81, None),
    "nuswide_asl": (81, None),
    "multiscene": (36, 14_000),
    "mlrsnet": (60, 105_690),
}
Miniature = tuple[DatasetSpec, Path]


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", MULTI)
def test_entry(name: str) -> None:
    """Sizes add up; classes are in the order of the sources, which is alphabetical but for two."""
    spec = load_spec(name)
    assert spec.task == "multi"
    assert (len(spec.classes), spec.counts.images) == SIZES[name]
    if spec.counts.train and spec.counts.test:
        assert spec.counts.train + spec.counts.test == spec.counts.images
    if name.startswith(("voc", "nus", "mlrs")):
        assert [e.folder for e in spec.classes] == sorted(e.folder for e in spec.classes)
    assert all(" " in entry.name or entry.name.islower() for entry in spec.classes)


def test_names_people_read() -> None:
    names = {
        name: {e.folder: e.name for e in load_spec(name).classes if e.folder != e.name}
        for name in ("voc2007", "nuswide", "mlrsnet", "multiscene")
    }
    assert names["voc2007"] == {
        "diningtable": "dining table",
        "pottedplant": "potted plant",
        "tvmonitor": "tv monitor",
    }
    assert names["nuswide"] == {"nighttime": "night time"}
    assert names["mlrsnet"] == {
        "habor": "harbor",
        "snowberg": "snow mountain",
        "tanks": "storage tanks",
    }
    assert names["multiscene"]["OilFiled"] == "oil field"
    assert names["multiscene"]["WastewaterPlant"] == "wastewater plant"


def test_coco_classes() -> None:
    """48 seen and 17 unseen (Bansal et al.); the 15 left out are in neither."""
    every, part = load_spec("coco2014"), load_spec("coco2014_48_17")
    assert every.class_names[:3] == ("person", "bicycle", "car")
    assert every.class_names[-1] == "toothbrush"
    assert len(part.unseen) == 17
    left_out = [name for name in every.class_names if name not in part.class_names]
    assert len(left_out) == 15 and {"traffic light", "hair drier"} <= set(left_out)
    assert [name for name in every.class_names if name in part.class_names] == list(
        part.class_names
    )
    assert part.sources == every.sources and part.folder == every.folder


def test_voc_test_positives() -> None:
    """7,013 labels on 4,952 test images, 1.416 each."""
    positives = load_spec("voc2007").counts.test_positives
    assert len(positives) == 20 and sum(positives.values()) == 7013
    assert (positives["person"], positives["sheep"]) == (2007, 97)


def test_counts_of_unknown_classes_are_refused() -> None:
    value = load_spec("voc2007").model_dump()
    value["counts"]["test_positives"] = {"unicorn": 1}
    with pytest.raises(ConfigError, match="names 'unicorn', which is not a class"):
        parse_section(DatasetSpec, value, "voc2007")


def of_part(manifest: Manifest, split: str) -> list[Image]:
    return [image for image in manifest.images if image.split == split]


@pytest.mark.parametrize("name", [n for n in MULTI if n not in ("mlrsnet", "coco2014_48_17")])
def test_miniature(name: str, data_root: Path) -> None:
    """Image i shows classes i and i + 1, the one after the last nothing; labels survive a file."""
    build_dataset(name, data_root)
    spec = load_spec(name)
    manifest = build_manifest(spec, 1)
    for split in ("train", "test"):
        images = of_part(manifest, split)
        for number, image in enumerate(images):
            expected = labels_of(spec, number)
            if name == "coco2014" and number == 0:
                expected = expected | {3}  # a crowd
            assert set(image.labels) == expected, image
    assert (manifest.task, manifest.classes) == ("multi", spec.class_names)
    save_manifest(manifest, data_root / "manifest.json")
    assert load_manifest(data_root / "manifest.json") == manifest


@pytest.mark.parametrize(
    ("difficult", "labels", "ignored"),
    [("ignore", (0, 1), (2,)), ("negative", (0, 1), ()), ("positive", (0, 1, 2), ())],
)
def test_difficult_objects(
    difficult: str, labels: tuple[int, ...], ignored: tuple[int, ...], data_root: Path
) -> None:
    build_dataset("voc2007", data_root)
    spec = load_spec("voc2007")
    layouts = tuple(
        layout.model_copy(update={"difficult": difficult})
        for layout in spec.layout
        if isinstance(layout, VocLists)
    )
    first = of_part(build_manifest(spec.model_copy(update={"layout": layouts}), 1), "test")[0]
    assert (first.labels, first.ignored) == (labels, ignored)


def test_voc_in_two_trees(data_root: Path) -> None:
    spec = load_spec("voc2007")
    voc_trees(spec, Folder(data_root / "voc2007"))
    (data_root / "voc2007" / SUBSET).touch()
    manifest = build_manifest(spec, 1)
    assert len(of_part(manifest, "train")) == len(of_part(manifest, "test")) == 20
    assert manifest.images[0].path.startswith("VOCtest2007/VOCdevkit/VOC2007/JPEGImages/")


def test_a_whole_copy_must_have_the_declared_positives(data_root: Path) -> None:
    """Without the mark of a part, sizes and positives count."""
    spec = load_spec("voc2007")
    (build_dataset("voc2007", data_root) / SUBSET).unlink()
    with pytest.raises(DataError, match=r"number of images \(images\) is not the declared 9963"):
        build_manifest(spec, 1)
    counts = spec.counts.model_copy(
        update={"images": None, "train": None, "test": None, "test_positives": {"bird": 3}}
    )
    with pytest.raises(DataError, match=r"test_positives.bird\) is not the declared 3; got 2"):
        build_manifest(spec.model_copy(update={"counts": counts}), 1)


def test_crowds_may_be_left_out(data_root: Path) -> None:
    build_dataset("coco2014", data_root)
    spec = load_spec("coco2014")
    layout = spec.layout[0]
    assert isinstance(layout, CocoInstances)
    without = spec.model_copy(update={"layout": (layout.model_copy(update={"crowd": "absent"}),)})
    assert of_part(build_manifest(without, 1), "train")[0].labels == (0, 1)


def test_unseen_classes_are_in_no_training_image(data_root: Path) -> None:
    """Left out: training images with an unseen class, and images without any of the 65."""
    build_dataset("coco2014_48_17", data_root)
    spec = load_spec("coco2014_48_17")
    manifest = build_manifest(spec, 1)
    unseen = {label for label, name in enumerate(spec.class_names) if name in spec.unseen}
    train, test = (of_part(manifest, split) for split in ("train", "test"))
    assert train and not any(unseen & set(image.labels) for image in train)
    assert len(test) == 65 and all(image.labels for image in test)
    expected = [n for n in range(65) if not labels_of(spec, n) & unseen and n != 0]
    assert len(train) == len(expected) + (0 if 3 in unseen or 0 in unseen else 1)


def test_populations_of_nus_wide(data_root: Path) -> None:
    """The image without a concept is one of the test's in the first, not in the second."""
    build_dataset("nuswide", data_root)
    both = [build_manifest(load_spec(name), 1) for name in ("nuswide", "nuswide_labelled")]
    assert [len(of_part(manifest, "test")) for manifest in both] == [82, 81]
    layout = load_spec("nuswide_labelled").layout[0]
    assert isinstance(layout, NusWideLists) and layout.population == "labelled"


def test_mlrsnet_is_read_by_each_table_s_own_header(data_root: Path) -> None:
    """240 rows; the one that lists every class is dropped. Half of the rest is the test."""
    build_dataset("mlrsnet", data_root)
    spec = load_spec("mlrsnet")
    manifest = build_manifest(spec, 1)
    assert len(manifest.images) == 239
    own = {entry.folder: label for label, entry in enumerate(spec.classes)}
    for image in manifest.images:
        category, number = Path(image.path).stem.rsplit("_", 1)
        expected = labels_of(spec, int(number) - 1)
        assert set(image.labels) == expected | ({own[category]} if category in own else set())
    assert abs(len(of_part(manifest, "train")) - 120) <= 20
