"""What partition schemes refuse: numbers a dataset cannot meet, and invalid entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedmvp.errors import ConfigError
from fedmvp.partition.schemes import Pool, parse_scheme
from tests.unit.partition.test_schemes import TOY, deal

SMALL = Pool(np.arange(4).repeat(5), np.arange(4), 4, where="small")


@pytest.mark.parametrize(
    ("name", "changes", "pool", "words"),
    [
        ("dirichlet", {"alpha": 0.001, "clients": 9}, TOY, "alpha 0.001"),
        ("dirichlet", {"clients": 50}, SMALL, "need 500 training images, but there are 20"),
        ("dirichlet_capped", {"clients": 8, "alpha": 0.001, "tries": 2}, TOY, "no draw of 2"),
        ("few_shot_disjoint", {"clients": 11}, TOY, "10 classes cannot be dealt to 11 clients"),
        ("shards", {"clients": 11}, SMALL, "22 shards need 22 training images"),
        ("pathological", {"clients": 2, "classes_each": 1}, SMALL, "cannot share 4 classes"),
        ("pathological", {"clients": 12, "classes_each": 2}, SMALL, "5 training images for 6"),
        ("quantity", {"clients": 12, "growth": "exponential"}, SMALL, "would have none of 20"),
        ("iid", {"clients": 21}, SMALL, "need 21 training images"),
        ("pachinko", {}, SMALL, "needs a dataset with superclasses"),
    ],
)
def test_what_cannot_be_met_is_refused(
    name: str, changes: dict[str, Any], pool: Pool, words: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        deal(name, pool=pool, **changes)
    text = str(refused.value)
    assert words in text and text.startswith(f"{pool.where}: ") and "hint: " in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("dirichlt", "unknown partition scheme; got 'dirichlt'; hint: did you mean 'dirichlet'?"),
        ({"alpha": 1}, "unknown partition scheme; hint: choose from: class_blocks"),
        ({"name": ["iid"]}, "unknown partition scheme; got ['iid']"),
        ("iid", "here: clients: key is missing"),
        ({"name": "dirichlet", "alpha": 0, "clients": 2}, "here: alpha: input should be greater"),
        ({"name": "dirichlet", "alpha": -1, "clients": 2}, "here: alpha: input should be greater"),
        ({"name": "iid", "clients": 2, "alpha": 1}, "here: alpha: unknown key"),
        ({"name": "iid", "clients": True}, "clients is true instead of a number"),
    ],
)
def test_entries_are_validated(value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_scheme(value, "here", classes_per_client=20)
    assert words in str(refused.value)


def test_class_blocks_take_the_params_number() -> None:
    assert parse_scheme("class_blocks", "", classes_per_client=7)[1].describe() == (
        "classes per client 7"
    )
    own = {"name": "class_blocks", "classes_per_client": 3}
    assert parse_scheme(own, "", classes_per_client=7)[1].describe() == "classes per client 3"
