"""site.yaml: what a site has, and what it releases. Nothing in this file is ever sent."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from fedmvp.config import Float, Section, parse_section
from fedmvp.errors import ConfigError
from fedmvp.federation.messages import METRICS, Metric
from fedmvp.methods.fixed_texts import Template
from fedmvp.yaml_files import load_yaml

__all__ = ["Minimum", "Share", "SiteConfig", "SiteImages", "load_site_config"]


class SiteImages(Section):
    """Where the images are: a tree of class folders, or a manifest of the download stage."""

    tree: Path | None = Field(
        default=None,
        description="DIR/<class>/ or DIR/{train,test}/<class>/ with images; with "
        "`labels`, any folder of images.",
    )
    labels: Path | None = Field(
        default=None,
        description="For a tree whose images show many classes: CSV with the columns `image`, a "
        "path in the tree, and `classes`, names with `;` between them.",
    )
    manifest: Path | None = Field(
        default=None, description="Manifest written by the pipeline's download stage."
    )
    root: Path | None = Field(
        default=None,
        description="Folder that a manifest's paths start from; by default the catalog's.",
    )
    domain: str | None = Field(
        default=None, description="Domain of the images of a manifest; null: all."
    )
    template: Template = Field(
        default="a photo of a {}.",
        description="Template of a tree's classes; a manifest has its own.",
    )
    test_share: Float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="Share held out of a tree without train and test folders.",
    )

    @model_validator(mode="after")
    def _one(self) -> SiteImages:
        if (self.tree is None) == (self.manifest is None):
            raise ValueError("give either tree or manifest")
        if self.labels is not None and self.tree is None:
            raise ValueError("labels can only be given with tree")
        if self.tree is not None and (self.root is not None or self.domain is not None):
            raise ValueError("root and domain can only be given with manifest")
        return self


class Minimum(Section):
    """Fewest images from which anything is sent."""

    images: int = Field(default=8, ge=1, description="To train on; with fewer, the site stays out.")
    group: int = Field(
        default=10,
        ge=1,
        description="Held-out images of a group; with many labels, also its positive labels; "
        "counts of fewer stay at the site.",
    )


class Share(Section):
    """What may leave besides the update, its phase and the number of training images."""

    metrics: tuple[Metric, ...] = Field(
        default=METRICS, description="Means over the training images that are sent each round."
    )
    evaluation: bool = Field(
        default=True, description="Whether counts on held-out images are sent."
    )


class SiteConfig(Section):
    """The settings of one site.

    Paths are relative to the file's folder.
    """

    client: str = Field(min_length=1, description="The site's name in the federation.")
    images: SiteImages = Field(description="Its section is below.")
    attributes: Path = Field(
        description="Attribute texts of each class, as the stage `attributes` writes them."
    )
    backbone: Path = Field(description="Folder with spec.json and weights.safetensors.")
    known: Literal["all", "half"] | tuple[str, ...] = Field(
        default="all",
        description="Classes it trains on; `half`: the first half. Others are tested as new ones.",
    )
    shots: int | None = Field(
        default=None, ge=1, description="Most training images per class; null: all."
    )
    minimum: Minimum = Field(default=Minimum(), description="Its section is below.")
    share: Share = Field(default=Share(), description="Its section is below.")
    max_update_norm: Float = Field(
        default=1000.0, gt=0, description="Largest L2 norm of an update that may be sent."
    )
    batch_size: int = Field(default=64, ge=1, description="Images per forward pass in evaluation.")


def load_site_config(path: Path) -> SiteConfig:
    """Read site.yaml, its paths made absolute.

    Raises
    ------
    ConfigError
        Naming the entry, its value and what is allowed.
    """
    value = load_yaml(path)
    if not isinstance(value, dict):
        raise ConfigError("is not a mapping of entries", where=path, hint="run `fedmvp site init`")
    config = parse_section(SiteConfig, value, str(path))
    folder = path.resolve().parent

    def absolute(entry: Path | None) -> Path | None:
        return None if entry is None else folder / entry.expanduser()

    images = config.images.model_copy(
        update={
            name: absolute(getattr(config.images, name))
            for name in ("tree", "labels", "manifest", "root")
        }
    )
    return config.model_copy(
        update={
            "images": images,
            "attributes": absolute(config.attributes),
            "backbone": absolute(config.backbone),
        }
    )
