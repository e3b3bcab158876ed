"""The paper's 20 datasets: names, orders and numbers, and the traps in them (`notes`)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from fedmvp.catalog.layouts import ClassFolders, DomainClassFolders, FractionsRule
from fedmvp.catalog.sources import HubSource, ManualSource, SourceFile
from fedmvp.catalog.spec import DatasetSpec, load_spec
from fedmvp.errors import ConfigError

from .conftest import ROOT

# Classes, images, train/val/test where known, first class of the new half (CoOp's).
COOP = {
    "caltech101": (100, (4128, 1649, 2465), "ibis"),
    "oxford_flowers": (102, (4093, 1633, 2463), "wild pansy"),
    "fgvc_aircraft": (100, (3334, 3333, 3333), "Cessna 560"),
    "ucf101": (101, (7639, 1898, 3783), "Lunges"),
    "oxford_pets": (37, (2944, 736, 3669), "leonberger"),
    "food101": (101, (50500, 20200, 30300), "guacamole"),
    "dtd": (47, (2820, 1128, 1692), "matted"),
    "stanford_cars": (196, (6509, 1635, 8041), "2012 FIAT 500 Abarth"),
    "sun397": (397, (15880, 3970, 19850), "outdoor ice_skating_rink"),
    "eurosat": (10, (13500, 5400, 8100), "Pasture Land"),
}
IMAGENETS = {
    "imagenet": 1000,
    "imagenet_v2": 1000,
    "imagenet_sketch": 1000,
    "imagenet_a": 200,
    "imagenet_r": 200,
}
DOMAINS = {
    "pacs": (7, ("artpainting", "cartoon", "photo", "sketch")),
    "vlcs": (5, ("caltech", "labelme", "pascal", "sun")),
    "officehome": (65, ("art", "clipart", "product", "realworld")),
    "terraincognita": (10, ("l38", "l43", "l46", "l100")),
    "domainnet": (345, ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")),
}
PAPER = (*COOP, *IMAGENETS, *DOMAINS)
NAMES = ROOT / "tests/unit/data/classnames.json"


def test_there_are_twenty() -> None:
    assert len(PAPER) == 20


@pytest.mark.parametrize("name", COOP)
def test_coop_sets(name: str) -> None:
    classes, splits, first_new = COOP[name]
    spec = load_spec(name)
    assert len(spec.classes) == classes
    assert (spec.counts.train, spec.counts.val, spec.counts.test) == splits
    assert spec.counts.images == sum(splits)
    assert spec.class_names[math.ceil(classes / 2)] == first_new
    assert (spec.split_file is None) == (name == "fgvc_aircraft")


@pytest.mark.parametrize("name", DOMAINS)
def test_domain_sets(name: str) -> None:
    classes, domains = DOMAINS[name]
    spec = load_spec(name)
    assert (len(spec.classes), spec.domain_names) == (classes, domains)
    assert set(spec.counts.domains) == set(domains)
    assert sum(spec.counts.domains.values()) == spec.counts.images
    rule = spec.split
    assert isinstance(rule, FractionsRule)
    assert (rule.train, rule.val, rule.within) == (0.5, 0.2, "class_and_domain")


@pytest.mark.parametrize("name", PAPER)
def test_every_entry_says_where_it_comes_from(name: str) -> None:
    spec = load_spec(name)
    assert spec.sources and spec.licence and spec.homepage.startswith("https://")
    for source in spec.sources:
        if isinstance(source, HubSource):
            assert re.fullmatch("[0-9a-f]{40}", source.revision) or spec.is_unverified(
                f"sources.{spec.sources.index(source)}.revision"
            )
            # Rows lose their names, so their tree must be one that no split file applies to.
            hub = [x for x in spec.layout if x.folder == ("hub",)]
            assert hub and not getattr(hub[0], "keeps_names", True)


@pytest.mark.parametrize(
    ("name", "domain", "sentence"),
    [
        ("ucf101", None, ("a photo of a person doing", "")),
        ("dtd", None, ("a photo of a", "a type of texture, ")),
        ("eurosat", None, ("a centered satellite photo of", "")),
        ("pacs", "artpainting", ("an art painting of a", "")),
        ("officehome", "product", ("a product image of a", "")),
        ("vlcs", "caltech", ("a high quality photo of a", "as a standalone object, ")),
        ("vlcs", "labelme", ("a realworld photo of the", "")),
        ("vlcs", "sun", ("a photo of a", "in diverse scenic environments, ")),
        ("terraincognita", "l38", ("a photo of a", "")),
        ("domainnet", "infograph", ("an infograph of a", "")),
    ],
)
def test_sentence_parts(name: str, domain: str | None, sentence: tuple[str, str]) -> None:
    parts = load_spec(name).sentence_parts(domain)
    assert (parts.prefix, parts.suffix) == sentence


@pytest.mark.parametrize(
    ("name", "places"),
    [
        # UCF101 follows classInd.txt; Python's order swaps both pairs.
        ("ucf101", {34: "Hammering", 35: "Hammer_Throw", 46: "Jumping_Jack", 47: "Jump_Rope"}),
        # Food101 follows the folders; meta/classes.txt swaps these.
        ("food101", {16: "cheese_plate", 17: "cheesecake"}),
        # Caltech101 follows the folders Faces, Leopards, Motorbikes, accordion, airplanes.
        ("caltech101", {0: "face", 1: "leopard", 2: "motorbike", 3: "accordion", 4: "airplane"}),
        ("oxford_flowers", {0: "pink primrose"}),
        ("oxford_pets", {0: "abyssinian"}),
        ("officehome", {0: "Alarm Clock"}),
        # DomainNet's official ids; in the sorted folders The_Eiffel_Tower is first.
        (
            "domainnet",
            {
                0: "aircraft_carrier",
                66: "cello",
                67: "cell_phone",
                205: "paintbrush",
                206: "paint_can",
                308: "The_Eiffel_Tower",
                327: "t-shirt",
                344: "zigzag",
            },
        ),
        (
            "imagenet",
            {
                0: "tench",
                657: "missile",
                744: "projectile missile",
                836: "sunglass",
                837: "sunglasses",
            },
        ),
    ],
)
def test_label_order_traps(name: str, places: dict[int, str]) -> None:
    names = load_spec(name).class_names
    assert {label: names[label] for label in places} == places


def test_caltech_leaves_out_two_folders() -> None:
    spec = load_spec("caltech101")
    (layout,) = spec.layout
    assert isinstance(layout, ClassFolders)
    assert set(layout.ignore) == {"BACKGROUND_Google", "Faces_easy"}
    folders = [entry.folder for entry in spec.classes]
    assert folders == sorted(folders)
    renamed = {e.folder: e.name for e in spec.classes if e.folder != e.name}
    assert renamed == {
        "airplanes": "airplane",
        "Faces": "face",
        "Leopards": "leopard",
        "Motorbikes": "motorbike",
    }


def test_cars_have_the_year_first() -> None:
    names = load_spec("stanford_cars").class_names
    assert all(re.match(r"(19|20)\d\d ", name) for name in names)
    assert not any(re.search(r" (19|20)\d\d$", name) for name in names)
    assert "2012 Ram C/V Cargo Van Minivan" in names


def test_sun_names_are_reversed_paths() -> None:
    spec = load_spec("sun397")
    folders = {entry.name: entry.folder for entry in spec.classes}
    assert folders["indoor ice_skating_rink"] == "i/ice_skating_rink/indoor"
    assert folders["abbey"] == "a/abbey"
    for name, folder in folders.items():
        letter, *parts = folder.split("/")
        assert " ".join(reversed(parts)) == name and parts[0].startswith(letter)
    assert list(folders.values()) == sorted(folders.values())


def test_domainnet_orders_differ() -> None:
    official = load_spec("domainnet").class_names
    by_folder = sorted(official)
    assert sum(a != b for a, b in zip(official, by_folder, strict=True)) == 328
    plain = [re.sub("[-_]", "", name).lower() for name in official]
    assert plain == sorted(plain)


def test_officehome_names_keep_their_case() -> None:
    spec = load_spec("officehome")
    assert {"ToothBrush", "Flipflops", "Postit Notes", "TV"} <= set(spec.class_names)
    folders = [entry.folder for entry in spec.classes]
    assert folders == sorted(folders) and folders.index("TV") < folders.index("Table")


@pytest.mark.parametrize(("name", "classes"), IMAGENETS.items())
def test_imagenet_family_shares_names_by_wnid(name: str, classes: int) -> None:
    whole = {entry.folder: entry.name for entry in load_spec("imagenet").classes}
    spec = load_spec(name)
    wnids = [entry.folder for entry in spec.classes]
    assert len(wnids) == classes and wnids == sorted(wnids)
    assert all(whole[entry.folder] == entry.name for entry in spec.classes)


def test_v2_folders_are_numbers() -> None:
    (layout,) = load_spec("imagenet_v2").layout
    assert isinstance(layout, ClassFolders) and layout.class_dirs == "label"


def test_imagenet_says_how_to_get_it() -> None:
    source = load_spec("imagenet").sources[-1]
    assert isinstance(source, ManualSource)
    assert "29b22e2961454d5413ddabcf34fc5622" in " ".join(source.steps)
    assert load_spec("imagenet").layout[0].folder[:2] == (".", "images")


@pytest.mark.parametrize("name", PAPER)
def test_unverifiable_files_are_marked(name: str) -> None:
    for source in load_spec(name).sources:
        for file in getattr(source, "files", ()):
            assert isinstance(file, SourceFile)
            assert bool(file.checksum) != file.unchecked


@pytest.mark.parametrize("name", DOMAINS)
def test_domain_layouts_read_domains(name: str) -> None:
    assert all(isinstance(x, DomainClassFolders) for x in load_spec(name).layout)


@pytest.mark.parametrize("name", [*COOP, "pacs", "vlcs", "officehome", "terraincognita"])
def test_names_are_the_recorded_ones(name: str) -> None:
    known = json.loads(NAMES.read_text(encoding="utf-8"))
    assert list(load_spec(name).class_names) == known[name]["names"]


def test_names_of_imagenet_and_domainnet_are_the_recorded_ones() -> None:
    known = json.loads(NAMES.read_text(encoding="utf-8"))
    imagenet: DatasetSpec = load_spec("imagenet")
    assert [entry.folder for entry in imagenet.classes] == known["imagenet"]["wnids"]
    differ = {
        i: (a, b)
        for i, (a, b) in enumerate(
            zip(imagenet.class_names, known["imagenet"]["names"], strict=True)
        )
        if a != b
    }
    assert differ == {744: ("projectile missile", "missile"), 836: ("sunglass", "sunglasses")}
    assert list(load_spec("domainnet").class_names) == known["domainnet_official"]["names"]
    assert sorted(load_spec("domainnet").class_names) == known["domainnet_ascii"]["names"]


def test_unverified_facts(toy: Any) -> None:
    toy(unverified=["counts.train"], counts={"images": 4})
    with pytest.raises(ConfigError, match=r"unverified names 'counts\.train'"):
        load_spec("toy")
    assert load_spec("sun397").is_unverified("counts.train")
    assert not load_spec("sun397").is_unverified("counts.test")
    assert load_spec("domainnet").is_unverified("counts.domains.real")
