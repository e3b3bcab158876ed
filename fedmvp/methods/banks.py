"""Text banks of datasets, made from the catalog entry and the attributes stage's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedmvp.attributes.class_attributes import load_attributes
from fedmvp.attributes.sentences import sentence
from fedmvp.clip.backbone import Backbone
from fedmvp.data.spec import DatasetSpec, load_spec
from fedmvp.methods.classes import ClassSet, TextBank

__all__ = ["TextBanks", "text_bank"]


def text_bank(
    backbone: Backbone,
    spec: DatasetSpec,
    attributes: dict[str, tuple[str, ...]],
    domain: str | None,
) -> TextBank:
    """Build the bank of one dataset; `domain` chooses its sentence parts (§2.2)."""
    parts = spec.sentence_parts(domain)
    sentences = {
        name: [sentence(name, text, prefix=parts.prefix, suffix=parts.suffix) for text in texts]
        for name, texts in attributes.items()
    }
    return TextBank(backbone, spec.name, spec.class_names, spec.template, attributes, sentences)


class TextBanks:
    """The banks of a run, built when first asked for.

    Parameters
    ----------
    backbone : Backbone
    folder : Path
        Where the attributes stage wrote ``<dataset>.json``.
    """

    def __init__(self, backbone: Backbone, folder: Path) -> None:
        self.backbone = backbone
        self.folder = folder
        self._banks: dict[tuple[str, str], TextBank] = {}

    def select(self, dataset: str, domain: str | None, names: Sequence[str]) -> ClassSet:
        """Return classes of a dataset as seen in a domain.

        Domains whose sentences read the same share one bank.

        Raises
        ------
        AttributeTextError
            When a class of the dataset has no attributes.
        """
        spec = load_spec(dataset)
        prefix = spec.sentence_parts(domain)
        key = dataset, f"{prefix.prefix}\n{prefix.suffix}"
        if key not in self._banks:
            attributes = load_attributes(self.folder / f"{dataset}.json")
            self._banks[key] = text_bank(
                self.backbone, spec, attributes.select(spec.class_names), domain
            )
        return self._banks[key].select(names)
