"""The texts of FedMVP: what its bank holds, what its classifier is made of."""

from __future__ import annotations

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.build import build_method, method_params
from fedmvp.methods.classes import TextBank
from fedmvp.methods.fedmvp_texts import bank_features, classifier_weights
from fedmvp.methods.frozen_image import PromptedTextMethod
from tests.toys import NAMES, toy_bank

pytestmark = pytest.mark.usefixtures("words")


def test_bank_sources(tiny: Backbone, bank: TextBank) -> None:
    """Names only: n = K. Random: as many as there are attributes, the same in every class set."""
    classes = bank.select(("red_fox", "snow owl", "teapot"))  # 1, 10 and 3 attributes
    sizes = {
        source: len(bank_features(classes, source, "tokens77", 1).values)
        for source in ("attributes", "sentences", "official", "names", "random")
    }
    assert sizes == {"attributes": 14, "sentences": 14, "official": 14, "names": 3, "random": 14}
    drawn = bank_features(classes, "random", "tokens77", 1).values
    alone = bank_features(bank.select(("snow owl",)), "random", "tokens77", 1).values
    assert torch.equal(drawn[1:11], alone)
    assert drawn.norm(dim=1).tolist() == pytest.approx([1.0] * 14)
    assert not torch.equal(drawn, bank_features(classes, "random", "tokens77", 2).values)


@pytest.mark.parametrize(
    ("dataset", "source"),
    [
        ("officehome", "attributes"),
        ("office_home", "attributes"),
        ("terra_incognita", "attributes"),
        ("pacs", "sentences"),
        ("animals", "sentences"),
    ],
)
def test_the_official_bank_depends_on_the_dataset(
    tiny: Backbone, dataset: str, source: str
) -> None:
    classes = toy_bank(tiny, dataset).select(NAMES[:2])
    found = bank_features(classes, "official", "tokens77", 1).values
    assert torch.equal(found, bank_features(classes, source, "tokens77", 1).values)


def test_texts_of_the_classifier(tiny: Backbone) -> None:
    names = ("red_fox", "teapot")
    bank = toy_bank(tiny, names=names)
    classes = bank.select(names)
    mean = classifier_weights(classes, "per_attribute_mean", "tokens77", 0.5)
    sentences = classes.features("sentences").values
    assert torch.allclose(mean[0], sentences[0])
    assert torch.allclose(mean[1], sentences[1:4].mean(dim=0))  # not renormalised
    assert float(mean[1].norm()) < 0.9999
    template = classifier_weights(classes, "template", "tokens77", 0.5)
    assert torch.equal(
        template, tiny.encode_texts(["a photo of a red fox.", "a photo of a teapot."])
    )
    both = classifier_weights(classes, "template_and_attributes", "tokens77", 0.25)
    assert torch.allclose(both, 0.8 * template + 0.2 * mean)
    section = method_params("zero_shot_combined", {"attributes_weight": 0.25})
    control = build_method("zero_shot_combined", tiny, section, 1)
    assert isinstance(control, PromptedTextMethod)
    assert torch.equal(control.text_features(classes), both)
    concat = classifier_weights(classes, "concat", "tokens77", 0.5)
    expected = [
        "a photo of a red fox, long tail",
        "a photo of a teapot, long spout, pale spout, round spout",
    ]
    assert torch.equal(concat, tiny.encode_texts(expected))


def test_77_characters(tiny: Backbone) -> None:
    """Texts are cut after 77 characters, not tokens (docs/method.md#difference-truncate)."""
    bank = TextBank(tiny, "d", ["x"], "a {}", {"x": ["a"]}, {"x": ["word " * 20]})
    classes = bank.select(["x"])
    cut = classifier_weights(classes, "per_attribute_mean", "chars77", 0.5)
    assert torch.equal(cut, tiny.encode_texts([("word " * 20)[:77]]))
    assert not torch.equal(cut, classifier_weights(classes, "per_attribute_mean", "tokens77", 0.5))
