"""Where a dataset's files come from, as its catalog entry says it.

A new kind of source is one model here and one function in `fedmvp.data.sources`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from fedmvp.config import Section

__all__ = [
    "EmbeddedFile",
    "EmbeddedSource",
    "HttpFile",
    "HttpSource",
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
    unpack: bool = Field(default=True, description="Extract the archive; false: keep the file.")
    into: RelativePath = Field(default=".", description="Folder inside the dataset's raw folder.")

    @model_validator(mode="after")
    def _verifiable(self) -> SourceFile:
        if self.sha256 is None and self.md5 is None:
            raise ValueError("a source file needs sha256 or md5: data is verified before use")
        return self


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


Source = Annotated[EmbeddedSource | HttpSource, Field(discriminator="kind")]
