"""Where a dataset's files come from, as its catalog entry describes it.

A new kind of source needs a model here and a function in `fedmvp.data.fetch.kinds`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from fedmvp.config import Section

__all__ = [
    "DriveFile",
    "DriveSource",
    "EmbeddedFile",
    "EmbeddedSource",
    "HttpFile",
    "HttpSource",
    "HubSource",
    "HubTable",
    "ManualSource",
    "RelativePath",
    "Source",
    "SourceFile",
]


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ValueError("must be a relative path without '..'")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]


class SourceFile(Section):
    """One file of a source: how to verify it and where its content goes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    size_bytes: int | None = Field(default=None, ge=1)
    unchecked: bool = Field(
        default=False,
        description="No checksum is known: the file's own is recorded and reported.",
    )
    unpack: bool = Field(default=True, description="Extract the archive; false: keep the file.")
    into: RelativePath = Field(default=".", description="Folder inside the dataset's raw folder.")
    nested: tuple[RelativePath, ...] = Field(
        default=(), description="Archives inside it, extracted in place if they exist."
    )

    @model_validator(mode="after")
    def _verifiable(self) -> SourceFile:
        if (self.sha256 is None and self.md5 is None) != self.unchecked:
            raise ValueError(
                "a source file needs sha256 or md5: data is verified before use; "
                "where none is known, unchecked: true says so"
            )
        return self

    @property
    def checksum(self) -> str:
        """The strongest declared checksum, or nothing."""
        return self.sha256 or self.md5 or ""


class EmbeddedFile(SourceFile):
    """A file shipped in the repository."""

    path: str = Field(min_length=1, description="Relative to the repository root, or absolute.")


class EmbeddedSource(Section):
    """Archives shipped in the repository."""

    kind: Literal["embedded"]
    files: tuple[EmbeddedFile, ...] = Field(min_length=1)


class HttpFile(SourceFile):
    """A file on a web server."""

    url: str = Field(pattern=r"^https?://")


class HttpSource(Section):
    """Files fetched over http(s)."""

    kind: Literal["http"]
    files: tuple[HttpFile, ...] = Field(min_length=1)


class DriveFile(SourceFile):
    """A file on Google Drive."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{10,}$")
    name: str = Field(pattern=r"^[^/\\]+$", description="File name to store it under.")


class DriveSource(Section):
    """Files on Google Drive, fetched with gdown; popular ones may exceed download quotas."""

    kind: Literal["google_drive"]
    files: tuple[DriveFile, ...] = Field(min_length=1)


class HubTable(Section):
    """Some Parquet files of a hub's dataset whose rows go to one folder."""

    files: str = Field(min_length=1, description="Pattern of paths in the repository, with *.")
    into: RelativePath = Field(description="Folder in which ``<domain>/<label>`` are made.")
    rows: int | None = Field(default=None, ge=1, description="Number of rows; checked if given.")


class HubSource(Section):
    """Rows of a Hugging Face dataset, written as image files.

    Original file names are lost, so a split file cannot apply (docs/datasets.md#splits).
    """

    kind: Literal["huggingface"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(min_length=1, description="Commit, or a branch if none is known.")
    tables: tuple[HubTable, ...] = Field(min_length=1)
    image: str = "image"
    label: str = "label"
    domain: str | None = None
    label_names: dict[str, str] = Field(
        default_factory=dict,
        description="The hub's name to the catalog's folder, where they differ.",
    )
    label_order: Literal["names", "catalog"] = Field(
        default="names", description="`catalog`: label numbers are those of the catalog."
    )
    skip_labels: tuple[str, ...] = Field(default=(), description="Names that are not classes.")


class ManualSource(Section):
    """Data that only its user can get: what to do, step by step."""

    kind: Literal["manual"]
    steps: tuple[str, ...] = Field(min_length=1)


Source = Annotated[
    EmbeddedSource | HttpSource | DriveSource | HubSource | ManualSource,
    Field(discriminator="kind"),
]
