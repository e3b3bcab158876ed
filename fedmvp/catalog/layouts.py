"""On-disk layouts that a dataset can have, as its catalog entry describes them.

A new layout needs a model here and a function in `fedmvp.data.readers`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from fedmvp.catalog.sources import DriveFile, HttpFile, RelativePath
from fedmvp.config import Section

__all__ = [
    "PARTS",
    "AircraftLists",
    "CarsMat",
    "ClassFolders",
    "CocoInstances",
    "DomainClassFolders",
    "FlowersMat",
    "FractionsRule",
    "Layout",
    "Layouts",
    "MlrsnetTables",
    "MultisceneTables",
    "NusWideLists",
    "NusWideTable",
    "OfficialRule",
    "Part",
    "PartClassFolders",
    "PetsLists",
    "SceneRecipes",
    "SplitFile",
    "SplitRule",
    "Sun397Lists",
    "Ucf101Lists",
    "VocLists",
    "VocTrees",
]

Part = Literal["train", "val", "trainval", "test"]
"""Official part of an image; trainval still has to be divided."""

PARTS: tuple[Part, ...] = get_args(Part)


def _as_tuple(value: Any) -> Any:
    """Turn a single entry into a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class _Layout(Section):
    folder: Annotated[tuple[RelativePath, ...], BeforeValidator(_as_tuple), Field(min_length=1)] = (
        Field(
            default=(".",),
            description="Where the tree may begin in the dataset's folder: the first that exists "
            "is used, so that an archive's own top folders can stay.",
        )
    )


class _Folders(_Layout):
    ignore: tuple[str, ...] = Field(default=(), description="Sub-folders that are not classes.")
    other_folders: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="What to do with a folder that is neither a class nor ignored: it may be a "
        "misspelt class, or one that an entry with a part of the classes leaves out.",
    )
    class_dirs: Literal["folder", "label"] = Field(
        default="folder", description="Class folders are named by the catalog, or 0, 1, 2, …"
    )
    keeps_names: bool = Field(
        default=True,
        description="Whether files have their original names, so that a split file applies.",
    )


class ClassFolders(_Folders):
    """``<folder>/<class>/<image>``."""

    reader: Literal["class_folders"]
    part: Part | None = Field(default=None, description="Official part of all images.")


class DomainClassFolders(_Folders):
    """``<folder>/<domain>/<class>/<image>``."""

    reader: Literal["domain_class_folders"]
    domain_folders: dict[str, RelativePath] = Field(
        default_factory=dict, description="Folder by domain name, where it is not the catalog's."
    )
    within: tuple[RelativePath, ...] = Field(
        default=(".",),
        min_length=1,
        description="Folders in a domain that contain class folders; all that exist are read.",
    )


class PartClassFolders(_Folders):
    """``<folder>/<part>/<class>/<image>``."""

    reader: Literal["part_class_folders"]
    parts: dict[Part, RelativePath] = Field(min_length=1, description="Folder of each part.")


class PetsLists(_Layout):
    """``images/*.jpg`` and ``annotations/{trainval,test}.txt`` (CoOp's DATASETS.md)."""

    reader: Literal["pets_lists"]


class AircraftLists(_Layout):
    """``images/<id>.jpg`` and ``images_variant_{train,val,test}.txt`` (CoOp's DATASETS.md)."""

    reader: Literal["aircraft_lists"]


class Ucf101Lists(_Layout):
    """``UCF-101-midframes/<class>/*.jpg`` and ``ucfTrainTestlist`` (CoOp's DATASETS.md)."""

    reader: Literal["ucf101_lists"]


class Sun397Lists(_Layout):
    """``SUN397/<letter>/<class>`` and ``{Training,Testing}_01.txt`` (CoOp's DATASETS.md)."""

    reader: Literal["sun397_lists"]


class FlowersMat(_Layout):
    """``jpg/image_00001.jpg`` and ``imagelabels.mat`` (CoOp's DATASETS.md)."""

    reader: Literal["flowers_mat"]


class CarsMat(_Layout):
    """``cars_{train,test}/*.jpg`` and the devkit's annotations (CoOp's DATASETS.md)."""

    reader: Literal["cars_mat"]


class SceneRecipes(_Layout):
    """``scenes.json`` and ``drawings/<group>/<style>/<class>/*.png``, composed when decoded."""

    reader: Literal["scene_recipes"]


class VocLists(_Layout):
    """``JPEGImages/*.jpg`` and ``ImageSets/Main/*.txt``, both archives in one tree."""

    reader: Literal["voc_lists"]
    difficult: Literal["ignore", "negative", "positive"] = Field(
        default="ignore",
        description="How a class counts in an image where all its objects are marked as difficult; "
        "papers on prompts use `negative`.",
    )
    train_list: Literal["trainval", "train"] = Field(
        default="trainval", description="The list of training images; FedMPT uses `train`."
    )


class VocTrees(VocLists):
    """The same, with each archive in its own tree."""

    reader: Literal["voc_trees"]  # type: ignore[assignment]


class CocoInstances(_Layout):
    """``{train2014,val2014}/*.jpg`` and ``annotations/instances_{train2014,val2014}.json``."""

    reader: Literal["coco_instances"]
    crowd: Literal["present", "absent"] = Field(
        default="present", description="How a class counts that only a crowd's box shows."
    )
    other_categories: Literal["refuse", "skip"] = Field(
        default="refuse", description="What to do with a category that is not a class of the entry."
    )


class NusWideLists(_Layout):
    """``ImageList/*.txt`` and ``TrainTestLabels/*.txt``."""

    reader: Literal["nus_wide_lists"]
    images: tuple[RelativePath, ...] = Field(
        default=("Flickr", "raw/Flickr", "images"),
        min_length=1,
        description="Folder of the images; the first that exists is used.",
    )
    population: Literal["all", "labelled"] = Field(
        default="all", description="Whether images without any label are kept."
    )


class NusWideTable(_Layout):
    """``nus_wid_data.csv`` and ``images``: the part ASL's authors use."""

    reader: Literal["nus_wide_table"]


class MultisceneTables(_Layout):
    """``{Tra,Test}.csv`` and ``images/*.jpg``."""

    reader: Literal["multiscene_tables"]


class MlrsnetTables(_Layout):
    """``Images/<category>`` and ``labels/<category>.csv``."""

    reader: Literal["mlrsnet_tables"]
    labels: tuple[RelativePath, ...] = Field(
        default=("labels", "Labels"),
        min_length=1,
        description="Folder of the tables; the first that exists is used.",
    )
    most_labels: int = Field(default=13, ge=1, description="No image has more (the paper).")
    damaged: Literal["refuse", "drop"] = Field(
        default="refuse", description="What happens to rows with more labels."
    )


Layout = Annotated[
    ClassFolders
    | DomainClassFolders
    | PartClassFolders
    | PetsLists
    | AircraftLists
    | Ucf101Lists
    | Sun397Lists
    | FlowersMat
    | CarsMat
    | SceneRecipes
    | VocLists
    | VocTrees
    | CocoInstances
    | NusWideLists
    | NusWideTable
    | MultisceneTables
    | MlrsnetTables,
    Field(discriminator="reader"),
]
Layouts = Annotated[tuple[Layout, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class FractionsRule(Section):
    """Random split by fractions; what is in neither train nor val is test."""

    rule: Literal["fractions"]
    train: float = Field(gt=0, lt=1)
    val: float = Field(default=0.0, ge=0, lt=1)
    within: Literal["class", "class_and_domain"] = Field(
        default="class", description="The groups that are each split by the fractions."
    )

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> FractionsRule:
        if self.train + self.val >= 1:
            raise ValueError("train + val must be below 1: the rest is the test part")
        return self


class OfficialRule(Section):
    """The layout's parts; a trainval part is divided at random in each class."""

    rule: Literal["official"]
    val: float = Field(default=0.0, ge=0, lt=1, description="Share of trainval that becomes val.")


SplitRule = Annotated[FractionsRule | OfficialRule, Field(discriminator="rule")]


class SplitFile(Section):
    """CoOp's split file: used instead of the rule if it is available (docs/datasets.md#splits)."""

    name: str = Field(pattern=r"^[\w.-]+\.json$")
    below: RelativePath = Field(
        default=".", description="Folder from which its paths start, inside the layout's."
    )
    mirrors: tuple[HttpFile | DriveFile, ...] = Field(
        default=(), description="Where to fetch it, in order of preference."
    )
