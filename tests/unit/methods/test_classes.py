"""Class sets: ragged, in label order, views of one bank."""

from __future__ import annotations

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import DataError
from fedmvp.methods.classes import TextBank, class_mean
from tests.toys import COUNTS, NAMES

pytestmark = pytest.mark.usefixtures("words")


def test_mean_of_ragged_texts() -> None:
    """Class 0 has (1, 2) and (3, 4), class 1 has (5, 6): means (2, 3) and (5, 6)."""
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    mean = class_mean(values, torch.tensor([0, 0, 1]), 2)
    assert mean.tolist() == [[2.0, 3.0], [5.0, 6.0]]


def test_a_class_set_keeps_its_order_and_its_own_texts(bank: TextBank) -> None:
    names = ("tram", "snow owl", "red_fox")
    classes = bank.select(names)
    assert (classes.names, len(classes)) == (names, 3)
    found = classes.features("attributes")
    assert torch.bincount(found.index).tolist() == [5, 10, 1]
    assert found.index.tolist() == sorted(found.index.tolist())
    texts = [text for part in classes.texts("attributes") for text in part]
    assert (bank.backbone.encode_texts(texts) - found.values).abs().max() <= 1e-6


def test_every_class_set_is_a_slice_of_the_bank(bank: TextBank) -> None:
    """Bit for bit: what a class reads as does not depend on its company."""
    alone, together = bank.select(("kite",)), bank.select(NAMES)
    whole = together.features("sentences")
    place = NAMES.index("kite")
    assert torch.equal(alone.features("sentences").values, whole.values[whole.index == place])
    assert len(whole.values) == sum(COUNTS)


def test_single_and_underscores(bank: TextBank) -> None:
    classes = bank.select(("red_fox",))
    assert classes.texts("names") == (("red fox",),)
    assert classes.texts("template") == (("a photo of a red fox.",),)
    assert classes.single("template").shape == (1, 40)


def test_unknown_and_repeated_classes(tiny: Backbone, bank: TextBank) -> None:
    with pytest.raises(DataError, match="'unicorn'"):
        bank.select(("kite", "unicorn"))
    texts = {"a": ["x"]}
    with pytest.raises(DataError, match="share a name"):
        TextBank(tiny, "d", ["a", "a"], "{}", texts, texts)
    with pytest.raises(DataError, match="every class needs"):
        bank.define("empty", [()] * len(NAMES))


def test_texts_are_encoded_once(
    tiny: Backbone, bank: TextBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.features("names")
    monkeypatch.setattr(type(tiny), "encode_texts", None)
    assert bank.select(NAMES[:2]).features("names").values.shape == (2, 40)
