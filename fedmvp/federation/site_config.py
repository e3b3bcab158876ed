"""site.yaml: what a site has, and what it lets out. Nothing of it is ever sent."""

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
        "`labels`, any images.",
    )
    labels: Path | None = Field(
        default=None,
        description="Of a tree whose images show many classes: CSV with the columns `image`, a "
        "path in the tree, and `classes`, names with `;` between them.",
    )
    manifest: Path | None = Field(
        default=None, description="File of the pipeline's download stage."
    )
    root: Path | None = Field(
        default=None,
        description="Folder a manifest's paths start from; the catalog's by default.",
    )
    domain: str | None = Field(default=None, description="Of a manifest's images; null: all.")
    template: Template = Field(
        default="a photo of a {}.", description="Of a tree; a manifest has its own."
    )
    test_share: Float = Field(
        default=0.3, gt=0, lt=1, description="Held out of a tree without train and test folders."
    )

    @model_validator(mode="after")
    def _one(self) -> SiteImages:
        if (self.tree is None) == (self.manifest is None):
            raise ValueError("give either tree or manifest")
        if self.labels is not None and self.tree is None:
            raise ValueError("labels belong to a tree")
        if self.tree is not None and (self.root is not None or self.domain is not None):
            raise ValueError("root and domain belong to a manifest")
        return self


class Minimum(Section):
    """Fewest images that something is said of."""

    images: int = Field(default=8, ge=1, description="To train on; with fewer the site stays out.")
    group: int = Field(
        default=10,
        ge=1,
        description="Held out of a group, and of many labels also positive ones among them; "
        "counts of fewer stay at the site.",
    )


class Share(Section):
    """What may leave beside the update, its phase and the number of training images."""

    metrics: tuple[Metric, ...] = Field(
        default=METRICS, description="Means over its training images that leave each round."
    )
    evaluation: bool = Field(default=True, description="Counts on held-out images.")


class SiteConfig(Section):
    """One site.

    Paths are relative to the file's folder.
    """

    client: str = Field(min_length=1, description="The site's name in the federation.")
    images: SiteImages = Field(description="Its section is below.")
    attributes: Path = Field(description="Attribute texts of each class, as the stage writes them.")
    backbone: Path = Field(description="Folder with spec.json and weights.safetensors.")
    known: Literal["all", "half"] | tuple[str, ...] = Field(
        default="all",
        description="Classes it trains on, half: the first half; others are tested as new ones.",
    )
    shots: int | None = Field(default=None, ge=1, description="Training images a class at most.")
    minimum: Minimum = Field(default=Minimum(), description="Its section is below.")
    share: Share = Field(default=Share(), description="Its section is below.")
    max_update_norm: Float = Field(
        default=1000.0, gt=0, description="Largest L2 norm of an update that leaves."
    )
    batch_size: int = Field(default=64, ge=1, description="Images per forward in evaluation.")


def load_site_config(path: Path) -> SiteConfig:
    """Read site.yaml, its paths made absolute.

    Raises
    ------
    ConfigError
        Naming the entry, its value and what is allowed.
    """
    value = load_yaml(path)
    if not isinstance(value, dict):
        raise ConfigError("is not a table of entries", where=path, hint="run `fedmvp site init`")
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
