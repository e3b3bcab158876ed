"""Text banks by dataset: made from manifests and files of the stage `attributes`, or given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedmvp.attributes.class_attributes import load_attributes
from fedmvp.attributes.sentences import class_sentences
from fedmvp.clip.backbone import Backbone
from fedmvp.data.manifest import Manifest
from fedmvp.methods.classes import ClassSet, TextBank

__all__ = ["Banks", "OneBank", "TextBanks", "text_bank"]


class Banks(Protocol):
    """The texts of the classes of a federation."""

    @property
    def backbone(self) -> Backbone:
        """The CLIP that encodes the texts."""
        ...

    def select(self, dataset: str, domain: str | None, names: Sequence[str]) -> ClassSet:
        """Return classes of a dataset with their texts for a domain."""
        ...


@dataclass(frozen=True)
class OneBank:
    """The bank of the only dataset."""

    bank: TextBank

    @property
    def backbone(self) -> Backbone:
        """The CLIP that encodes the texts."""
        return self.bank.backbone

    def select(self, dataset: str, domain: str | None, names: Sequence[str]) -> ClassSet:
        """Return some of the bank's classes."""
        return self.bank.select(names)


def text_bank(
    backbone: Backbone,
    manifest: Manifest,
    attributes: dict[str, tuple[str, ...]],
    domain: str | None,
) -> TextBank:
    """Build a dataset's bank; `domain` chooses its sentence parts (docs/method.md#sentences)."""
    parts = manifest.sentence_parts(domain)
    sentences = class_sentences(attributes, prefix=parts.prefix, suffix=parts.suffix)
    return TextBank(
        backbone, manifest.dataset, manifest.classes, manifest.template, attributes, sentences
    )


class TextBanks:
    """The banks of a run, built when first asked for.

    Parameters
    ----------
    backbone : Backbone
    folder : Path
        Folder in which the stage `attributes` wrote ``<dataset>.json``.
    manifests : mapping
        Manifest of each dataset of the run.
    """

    def __init__(self, backbone: Backbone, folder: Path, manifests: Mapping[str, Manifest]) -> None:
        self.backbone = backbone
        self.folder = folder
        self.manifests = manifests
        self._banks: dict[tuple[str, str], TextBank] = {}

    def select(self, dataset: str, domain: str | None, names: Sequence[str]) -> ClassSet:
        """Return classes of a dataset with their texts for a domain.

        Domains with equal sentences share one bank.

        Raises
        ------
        AttributeTextError
            When a class of the dataset has no attributes.
        """
        manifest = self.manifests[dataset]
        parts = manifest.sentence_parts(domain)
        key = dataset, f"{parts.prefix}\n{parts.suffix}"
        if key not in self._banks:
            attributes = load_attributes(self.folder / f"{dataset}.json")
            self._banks[key] = text_bank(
                self.backbone, manifest, attributes.select(manifest.classes), domain
            )
        return self._banks[key].select(names)
