"""The classes that a model chooses from: their names, their texts, and the texts' features.

A `TextBank` holds every text of one dataset (and domain); its features are computed once, for all
classes together, and shared by all clients. A `ClassSet` is a view of some of its classes, in
label order. A class may have any number of texts.

Shapes: K classes, n texts, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import DataError

__all__ = ["ClassSet", "RaggedFeatures", "TextBank", "class_mean"]

Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RaggedFeatures:
    """Features of any number of texts per class.

    Parameters
    ----------
    values : Tensor of shape [n, e]
        L2-normalised, in class-major order.
    index : Tensor of shape [n]
        Position of each text's class in the class set, ascending.
    classes : int
        K.
    """

    values: Tensor
    index: Tensor
    classes: int

    @cached_property
    def mean(self) -> Tensor:
        """Mean feature of each class, NOT renormalised, [K, e].

        Its product with an image feature is the mean similarity (docs/method.md#classifier).
        """
        return class_mean(self.values, self.index, self.classes)


def class_mean(values: Tensor, index: Tensor, classes: int) -> Tensor:
    """Return the mean of `values` [n, e] per class, [K, e]; deterministic, as a matrix product."""
    member = torch.nn.functional.one_hot(index, classes).T.to(values.dtype)
    return (member @ values) / member.sum(dim=1, keepdim=True)


class TextBank:
    """Every text of one dataset and domain.

    Parameters
    ----------
    backbone : Backbone
    dataset : str
    names : sequence of str
        Class names in label order.
    template : str
        The dataset's template, with one ``{}``.
    attributes, sentences : mapping of class name to sequence of str
        Raw attributes, and the sentences built from them.
    """

    def __init__(
        self,
        backbone: Backbone,
        dataset: str,
        names: Sequence[str],
        template: str,
        attributes: Mapping[str, Sequence[str]],
        sentences: Mapping[str, Sequence[str]],
    ) -> None:
        self.backbone = backbone
        self.dataset = dataset
        self.names = tuple(names)
        self.template = template
        self._position = {name: i for i, name in enumerate(self.names)}
        if len(self._position) != len(self.names):
            raise DataError(
                "two classes share a name",
                where=f"dataset {dataset}",
                hint="rename one of them in the catalog entry",
            )
        self._texts: dict[str, Texts] = {
            "names": tuple((name.replace("_", " "),) for name in self.names),
            "template": tuple((self.fill(name),) for name in self.names),
            "attributes": tuple(tuple(attributes[name]) for name in self.names),
            "sentences": tuple(tuple(sentences[name]) for name in self.names),
        }
        self._features: dict[str, RaggedFeatures] = {}

    def fill(self, name: str, template: str | None = None) -> str:
        """Return a template, by default the dataset's, with the class name, `_` as spaces."""
        return (template or self.template).replace("{}", name.replace("_", " "))

    def define(self, kind: str, texts: Sequence[Sequence[str]]) -> None:
        """Add a kind of text: one sequence per class, in label order."""
        if len(texts) != len(self.names) or not all(texts):
            raise DataError(
                f"every class needs {kind} texts",
                where=f"dataset {self.dataset}",
                hint="give at least one text per class",
            )
        self._texts[kind] = tuple(tuple(part) for part in texts)

    def kinds(self) -> frozenset[str]:
        """Return the kinds of text in the bank."""
        return frozenset(self._texts)

    def texts(self, kind: str) -> Texts:
        """Return the texts of a kind, per class in label order."""
        return self._texts[kind]

    def features(self, kind: str) -> RaggedFeatures:
        """Return the features of a kind's texts over all classes; computed once."""
        if kind not in self._features:
            texts = self._texts[kind]
            values = self.backbone.encode_texts([text for part in texts for text in part])
            counts = torch.tensor([len(part) for part in texts], device=values.device)
            index = torch.repeat_interleave(torch.arange(len(texts), device=values.device), counts)
            features = RaggedFeatures(values, index, len(texts))
            if not self.backbone.shortcuts.texts_once:
                return features
            self._features[kind] = features
        return self._features[kind]

    def encoded(self) -> dict[str, Tensor]:
        """Return the texts that have been encoded so far, each with its feature [e]."""
        return {
            text: feature
            for kind, features in self._features.items()
            for text, feature in zip(
                (text for part in self._texts[kind] for text in part), features.values, strict=True
            )
        }

    def select(self, names: Sequence[str]) -> ClassSet:
        """Return the view of some classes, in the order given.

        Raises
        ------
        DataError
            For a class the dataset does not have.
        """
        unknown = [name for name in names if name not in self._position]
        if unknown:
            raise DataError(
                "class is not in the dataset",
                where=f"dataset {self.dataset}",
                value=unknown[0],
                hint="run the partition stage again: `dvc repro partition`",
            )
        return ClassSet(self, tuple(names), tuple(self._position[name] for name in names))


@dataclass(frozen=True)
class ClassSet:
    """Candidate classes, in label order: a frozen view of a `TextBank`.

    Attributes
    ----------
    attended : ClassSet or None
        Classes whose texts the cross-attention uses; None: this set's.
    """

    bank: TextBank
    names: tuple[str, ...]
    positions: tuple[int, ...]
    attended: ClassSet | None = None
    _cache: dict[str, RaggedFeatures] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def texts(self, kind: str) -> Texts:
        """Return the texts of each class of this set."""
        every = self.bank.texts(kind)
        return tuple(every[i] for i in self.positions)

    def features(self, kind: str) -> RaggedFeatures:
        """Return the features of this set's texts (a slice of the bank's)."""
        if kind not in self._cache:
            every = self.bank.features(kind)
            rows, index = [], []
            for new, old in enumerate(self.positions):
                found = torch.nonzero(every.index == old).flatten()
                rows.append(found)
                index.append(torch.full_like(found, new))
            features = RaggedFeatures(every.values[torch.cat(rows)], torch.cat(index), len(self))
            if not self.bank.backbone.shortcuts.texts_once:
                return features
            self._cache[kind] = features
        return self._cache[kind]

    def single(self, kind: str) -> Tensor:
        """Return the features of a kind with one text per class, [K, e]."""
        return self.features(kind).values
