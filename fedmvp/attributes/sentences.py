"""Sentences CLIP reads for attributes of classes.

Sentence form and clause rule are the official code's (docs/method.md#sentences), except that
sentences are kept whole for the tokenizer; the code's cut at 77 *characters* is an option of
FedMVP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedmvp.attributes.schema import spoken_name

__all__ = ["attribute_clause", "class_sentences", "sentence"]


def attribute_clause(attribute: str) -> str:
    """Return the which-clause of an attribute by the official rule.

    The rule looks at the first letters only, so every attribute that begins with an "a" reads
    "which is …".

    Examples
    --------
    >>> attribute_clause("long neck"), attribute_clause("amber eyes")
    ('which has long neck', 'which is amber eyes')
    """
    if attribute.startswith(("a", "used")):
        return f"which is {attribute}"
    verb = attribute.startswith(("has", "often", "typically", "may", "can"))
    return f"which {attribute}" if verb else f"which has {attribute}"


def sentence(class_name: str, attribute: str, *, prefix: str, suffix: str = "") -> str:
    """Return ``"{prefix} {class}, {suffix, }{which-clause}"`` without a final full stop.

    Parameters
    ----------
    class_name : str
        From the class list; underscores become spaces.
    prefix, suffix : str
        Of the dataset (and domain), e.g. ``"a photo of a"`` and ``"a type of flower,"``; the
        suffix's own comma is optional.

    Examples
    --------
    >>> sentence("tiger_lily", "dark spots", prefix="a photo of a", suffix="a type of flower,")
    'a photo of a tiger lily, a type of flower, which has dark spots'
    """
    kind = suffix.strip().rstrip(",").rstrip()
    parts = [f"{prefix.strip()} {spoken_name(class_name)}".strip()]
    parts += [kind] if kind else []
    return ", ".join([*parts, attribute_clause(attribute)])


def class_sentences(
    attributes: Mapping[str, Sequence[str]], *, prefix: str, suffix: str = ""
) -> dict[str, list[str]]:
    """Return each class's sentences, one for each of its attributes, in their order."""
    return {
        name: [sentence(name, text, prefix=prefix, suffix=suffix) for text in texts]
        for name, texts in attributes.items()
    }
