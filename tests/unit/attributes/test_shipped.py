"""The recorded texts themselves: complete, clean, and able to tell classes apart."""

from __future__ import annotations

from collections import Counter

import pytest

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses, collect_attributes
from fedmvp.attributes.stats import attribute_stats
from fedmvp.attributes.store import AnswerStore
from fedmvp.attributes.text_lengths import cut_texts
from fedmvp.catalog.spec import dataset_names, load_spec

EMOJI = ("activities", "animals", "food", "objects", "travel")
PHOTOS = (
    "caltech101",
    "dtd",
    "eurosat",
    "food101",
    "officehome",
    "oxford_flowers",
    "oxford_pets",
    "pacs",
    "terraincognita",
    "ucf101",
    "vlcs",
)
SHIPPED = AttributeParams(provider="recorded", model="claude", template="visual-v1", per_class=100)


def shipped(dataset: str) -> dict[str, tuple[str, ...]]:
    return {a.question.class_name: a.attributes for a in AnswerStore.of(dataset)}


@pytest.mark.parametrize("dataset", EMOJI + PHOTOS)
def test_every_class_has_distinct_short_attributes(dataset: str) -> None:
    figures = attribute_stats(shipped(dataset))
    assert figures.per_class == ((8, 8) if dataset in EMOJI else (10, 10))
    assert not figures.naming and not figures.overlapping and not figures.identical
    assert figures.words[1] <= 6 and 2.5 <= figures.words[0] <= 5
    assert figures.tokens[1] <= 20
    assert not cut_texts(shipped(dataset), load_spec(dataset).sentence.ways())


@pytest.mark.parametrize("dataset", EMOJI + PHOTOS)
def test_attributes_are_written_per_class_not_filled_in(dataset: str) -> None:
    """Photo classes: half of the texts are the class's own. Emoji: one at least, most on average.

    Clock faces and mailboxes differ in one detail by design.
    """
    texts = shipped(dataset)
    owners = Counter(text for own in texts.values() for text in own)
    alone = {name: sum(owners[text] == 1 for text in own) for name, own in texts.items()}
    least = 1 if dataset in EMOJI else 5
    assert not {name: count for name, count in alone.items() if count < least}
    assert sum(alone.values()) >= 0.7 * sum(map(len, texts.values()))
    assert max(owners.values()) <= 0.05 * len(texts) + 2


@pytest.mark.parametrize("dataset", sorted(set(EMOJI + PHOTOS) & set(dataset_names())))
def test_recorded_provider_serves_the_catalog_in_label_order(dataset: str) -> None:
    spec = load_spec(dataset)
    classes = DatasetClasses(spec.name, spec.title, spec.class_names)
    attributes = collect_attributes(classes, SHIPPED)
    assert tuple(attributes.classes) == spec.class_names
    assert set(shipped(dataset)) == set(spec.class_names), "answers to classes that are none"
