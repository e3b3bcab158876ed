"""Features of class names in fixed templates, for methods that do not learn the text side.

Shapes: K classes, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from pydantic import AfterValidator
from torch import Tensor

from fedmvp.methods.classes import ClassSet, RaggedFeatures

__all__ = [
    "CLIP_TEMPLATES",
    "Template",
    "ensemble_features",
    "template_and_attributes",
    "template_features",
    "templates_features",
]

CLIP_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""CLIP's seven selected templates."""

#: CoOp adds the dataset's own template to the ensemble for every dataset but this.
_NO_OWN_TEMPLATE = "imagenet"


def _one_place(text: str) -> str:
    if [text.count(mark) for mark in ("{", "{}", "}")] != [1, 1, 1]:
        raise ValueError("template must contain {} once, for the class")
    return text


Template = Annotated[str, AfterValidator(_one_place)]
"""A text with one ``{}`` for the class name."""


def template_features(classes: ClassSet, template: str | None) -> Tensor:
    """Return L2-normalised features of each class in `template`, [K, e].

    Parameters
    ----------
    template : str or None
        None for the dataset's own template.
    """
    if template is None:
        return classes.single("template")
    return templates_features(classes, (template,)).values


def template_and_attributes(classes: ClassSet, sentences: RaggedFeatures, weight: float) -> Tensor:
    """Return (t_k + w · mean_j T_kj) / (1 + w): template and attribute sentences together, [K, e].

    The logit is then the same weighted mean of the similarity to the dataset's template and the
    mean similarity to the class's sentences, however many there are. This is ours: no publication
    mixes them.

    Parameters
    ----------
    weight : float
        w, weight of all sentences; the template has weight 1.
    """
    return (classes.single("template") + weight * sentences.mean) / (1 + weight)


def templates_features(classes: ClassSet, templates: Sequence[str]) -> RaggedFeatures:
    """Return the features of every class in each of `templates`."""
    bank = classes.bank
    kind = "\n".join(["templates", *templates])
    if kind not in bank.kinds():
        bank.define(kind, [[bank.fill(name, text) for text in templates] for name in bank.names])
    return classes.features(kind)


def ensemble_features(classes: ClassSet, templates: Sequence[str]) -> Tensor:
    """Return the renormalised mean of each class's features in the templates, [K, e].

    The dataset's own template is one of them, except for ImageNet.
    """
    if classes.bank.dataset != _NO_OWN_TEMPLATE:
        templates = (*templates, classes.bank.template)
    return F.normalize(templates_features(classes, templates).mean, dim=-1)
