"""The texts of FedMVP's bank and classifier (docs/method.md#attribute-bank, #classifier).

Shapes: K classes, n texts, e joint embedding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp.methods.classes import ClassSet, RaggedFeatures
from fedmvp.methods.fixed_texts import template_and_attributes
from fedmvp.seeds import torch_generator

__all__ = ["bank_features", "classifier_weights"]

#: Datasets whose bank the official code fills with raw attributes (docs/method.md#attribute-bank).
_RAW_BANK_PREFIXES = ("officehome", "terra")


def _sentences(classes: ClassSet, truncate: str) -> RaggedFeatures:
    """Return features of sentences cut as `truncate` says (docs/method.md#difference-truncate)."""
    bank = classes.bank
    if truncate == "tokens77":  # the tokenizer does that
        return classes.features("sentences")
    if "sentences/chars77" not in bank.kinds():
        cut = [tuple(text[:77] for text in part) for part in bank.texts("sentences")]
        bank.define("sentences/chars77", cut)
    return classes.features("sentences/chars77")


def bank_features(classes: ClassSet, source: str, truncate: str, seed: int) -> RaggedFeatures:
    """Return the attribute bank A.

    Parameters
    ----------
    source : {"attributes", "sentences", "official", "names", "random"}
        Raw attributes (the paper); full sentences; the official code's choice for each dataset;
        or, as controls, only class names (n = K), or as many random directions as attributes.
    truncate : {"tokens77", "chars77"}
    seed : int
        Seed of the random directions.
    """
    if source == "official":
        raw = classes.bank.dataset.replace("_", "").startswith(_RAW_BANK_PREFIXES)
        source = "attributes" if raw else "sentences"
    if source == "sentences":
        return _sentences(classes, truncate)
    if source == "random":
        return _random(classes, seed)
    return classes.features(source)


def _random(classes: ClassSet, seed: int) -> RaggedFeatures:
    """Draw each class's directions from its own name, so they do not depend on the set."""
    parts, index = [], []
    for position, (name, texts) in enumerate(
        zip(classes.names, classes.texts("attributes"), strict=True)
    ):
        generator = torch_generator(seed, "random_bank", classes.bank.dataset, name)
        width = classes.bank.backbone.spec.embed_dim
        parts.append(F.normalize(torch.randn(len(texts), width, generator=generator), dim=-1))
        index += [position] * len(texts)
    device = classes.bank.backbone.device
    return RaggedFeatures(
        torch.cat(parts).to(device), torch.tensor(index, device=device), len(classes)
    )


def classifier_weights(
    classes: ClassSet, classifier: str, truncate: str, attributes_weight: float
) -> Tensor:
    """Return the text side of the logits, [K, e].

    Parameters
    ----------
    classifier : {"per_attribute_mean", "concat", "template", "template_and_attributes"}
        The mean of the class's sentence features, not renormalised (the official code); one text
        with the template and all attributes (the paper's notation); only the template (ablation);
        or the weighted mean of the template's feature and the sentences' (ours).
    attributes_weight : float
        Weight of the sentences relative to the template, where both are used.
    """
    if classifier == "template":
        return classes.single("template")
    if classifier == "per_attribute_mean":
        return _sentences(classes, truncate).mean
    if classifier == "template_and_attributes":
        return template_and_attributes(classes, _sentences(classes, truncate), attributes_weight)
    bank = classes.bank
    if "concat" not in bank.kinds():
        bank.define(
            "concat",
            [
                (", ".join([template.rstrip("."), *attributes]),)
                for (template,), attributes in zip(
                    bank.texts("template"), bank.texts("attributes"), strict=True
                )
            ],
        )
    return classes.single("concat")
