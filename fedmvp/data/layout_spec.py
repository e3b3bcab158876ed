"""On-disk layouts a dataset can have, as its catalog entry says it.

A new layout is one model here and one function in `fedmvp.data.readers`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from fedmvp.config import Section
from fedmvp.data.source_spec import RelativePath

__all__ = [
    "PARTS",
    "AircraftLists",
    "CarsMat",
    "ClassFolders",
    "DomainClassFolders",
    "FlowersMat",
    "Layout",
    "Layouts",
    "Part",
    "PartClassFolders",
    "PetsLists",
    "Sun397Lists",
    "Ucf101Lists",
]

Part = Literal["train", "val", "trainval", "test"]
"""Official part of an image; trainval is still to be cut."""

PARTS: tuple[Part, ...] = get_args(Part)


def _as_tuple(value: Any) -> Any:
    """Let one entry stand for a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class _Layout(Section):
    folder: Annotated[
        tuple[RelativePath, ...], BeforeValidator(_as_tuple), Field(min_length=1)
    ] = Field(
        default=(".",),
        description="Where the tree may begin below the dataset's folder: the first that is there "
        "counts, so that an archive's own top folders need no moving.",
    )


class _Folders(_Layout):
    ignore: tuple[str, ...] = Field(default=(), description="Sub-folders that are not classes.")
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
        default_factory=dict, description="Instead of the catalog's folders, by domain name."
    )
    within: tuple[RelativePath, ...] = Field(
        default=(".",),
        min_length=1,
        description="Folders below a domain that hold class folders; those that are there are read.",
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


Layout = Annotated[
    ClassFolders
    | DomainClassFolders
    | PartClassFolders
    | PetsLists
    | AircraftLists
    | Ucf101Lists
    | Sun397Lists
    | FlowersMat
    | CarsMat,
    Field(discriminator="reader"),
]
Layouts = Annotated[tuple[Layout, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
