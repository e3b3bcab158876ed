"""The rules that deal images: their published sizes and lists, and what holds for all of them.

The toy pool of the published sizes: 10 classes, 100 training and 20 test images each, 5 clients.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmvp.errors import ConfigError
from fedmvp.partition.schemes import SCHEMES, Pool, Scheme, Share
from fedmvp.partition.schemes.few_shot_disjoint import shuffled_blocks
from fedmvp.partition.schemes.quantity import sizes

CLASSES = 10
TOY = Pool(
    np.repeat(np.arange(CLASSES), 100),
    np.repeat(np.arange(CLASSES), 20),
    CLASSES,
    groups=tuple(label // 2 for label in range(CLASSES)),
    where="toy",
    train_labels=np.repeat(np.eye(CLASSES, dtype=bool), 100, axis=0),
    test_labels=np.repeat(np.eye(CLASSES, dtype=bool), 20, axis=0),
)
PARAMS: dict[str, dict[str, Any]] = {
    "class_blocks": {"classes_per_client": 2},
    "few_shot_disjoint": {"clients": 5},
    "dirichlet": {"clients": 5, "alpha": 0.5},
    "dirichlet_capped": {"clients": 5, "alpha": 0.5},
    "pachinko": {"clients": 5, "alpha": 0.3},
    "shards": {"clients": 5},
    "pathological": {"clients": 5, "shares": "uneven"},
    "iid": {"clients": 5},
    "quantity": {"clients": 5, "growth": "square"},
    "by_domain": {"clients": 2},
    "domain_dirichlet": {"clients": 5},
    "label_clusters": {"clients": 5},
    "fedmpt_clusters": {"clients": 5},
    "one_client": {},
}


def make(name: str, **changes: Any) -> Scheme:
    return SCHEMES[name].model_validate({**PARAMS[name], **changes})


def deal(name: str, seed: int = 0, pool: Pool = TOY, **changes: Any) -> list[Share]:
    return make(name, **changes).deal(pool, np.random.default_rng(seed))


def trained(dealt: list[Share]) -> list[int]:
    return [len(share.train) for share in dealt]


def sizes_tested(dealt: list[Share]) -> list[int]:
    return [len(share.test) for share in dealt if share.test is not None]


def labels(share: Share) -> list[int]:
    return np.unique(TOY.train[share.train]).tolist()


def test_every_scheme_is_tested() -> None:
    assert set(PARAMS) == set(SCHEMES)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("seed", range(5))
def test_no_image_twice_none_left_none_empty(name: str, seed: int) -> None:
    dealt = deal(name, seed)
    train = np.concatenate([share.train for share in dealt])
    assert sorted(train.tolist()) == list(range(len(TOY.train)))
    assert min(trained(dealt)) > 0
    tests = [share.test for share in dealt if share.test is not None]
    if tests:
        assert sorted(np.concatenate(tests).tolist()) == list(range(len(TOY.test)))
    elif not SCHEMES[name].shares_classes:
        seen = [label for share in dealt for label in labels(share)]
        assert sorted(seen) == list(range(CLASSES))


@pytest.mark.parametrize("name", SCHEMES)
def test_the_seed_alone_decides(name: str) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()
    first, again = deal(name), deal(name)
    assert np.random.get_state()[1].tolist() == before
    for one, other in zip(first, again, strict=True):
        assert one.train.tolist() == other.train.tolist()
        assert (one.test is None) == (other.test is None)
    drawn = name not in ("class_blocks", "few_shot_disjoint", "one_client", "fedmpt_clusters")
    other = deal(name, seed=1)
    assert drawn == any(a.train.tolist() != b.train.tolist() for a, b in zip(first, other))  # noqa: B905


HASHED = """
import numpy as np, hashlib
from tests.unit.partition.test_schemes import PARAMS, deal
found = hashlib.sha256()
for name in sorted(PARAMS):
    for share in deal(name):
        found.update(share.train.tobytes() + (b"" if share.test is None else share.test.tobytes()))
print(found.hexdigest())
"""


def test_hash_randomisation_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for value in ("0", "1"):
        monkeypatch.setenv("PYTHONHASHSEED", value)
        found.add(
            subprocess.run(
                [sys.executable, "-c", HASHED], capture_output=True, text=True, check=True
            ).stdout
        )
    assert len(found) == 1 and len(found.pop().strip()) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize(
    ("seed", "train", "test", "first"),
    [
        (0, [181, 168, 205, 218, 228], [31, 35, 41, 43, 50], [16, 2, 1, 66, 15]),
        (1, [215, 174, 136, 230, 245], [39, 35, 27, 48, 51], [20, 26, 6, 7, 41]),
    ],
)
def test_capped_dirichlet_of_the_public_code(
    seed: int, train: list[int], test: list[int], first: list[int]
) -> None:
    dealt = make("dirichlet_capped").deal(TOY, np.random.RandomState(seed))
    assert (trained(dealt), sizes_tested(dealt)) == (train, test)
    assert [int((TOY.train[share.train] == 0).sum()) for share in dealt] == first


def test_capped_dirichlet_is_capped() -> None:
    largest = max(
        max(trained(deal("dirichlet_capped", seed, alpha=0.1, min_images=1))) for seed in range(60)
    )
    assert 200 < largest < 200 + 100


@pytest.mark.parametrize(
    ("balanced", "wanted"),
    [(False, [258, 163, 104, 321, 154]), (True, [279, 207, 134, 221, 159])],
)
def test_dirichlet_of_flwr_datasets(balanced: bool, wanted: list[int]) -> None:
    assert trained(deal("dirichlet", 42, self_balancing=balanced)) == wanted


def test_few_shot_class_lists() -> None:
    """Of Python's generator, seed 2023; sizes round halves to even, the last takes the rest."""
    first = {
        37: [18, 14, 23, 10],
        47: [45, 3, 23, 43, 22],
        100: [20, 79, 93, 54, 52],
        101: [20, 79, 94, 54, 52],
        102: [90, 54, 31, 35, 55],
    }
    last = {37: [24], 47: [44, 24]}
    counts = {
        37: [4] * 9 + [1],
        47: [5] * 9 + [2],
        100: [10] * 10,
        101: [10] * 9 + [11],
        102: [10] * 9 + [12],
        19: [2] * 9 + [1],
        24: [2] * 9 + [6],
        50: [5] * 10,
        51: [5] * 9 + [6],
        15: [2] * 7 + [1, 0, 0],
    }
    for classes, wanted in counts.items():
        blocks = shuffled_blocks(classes, 10, 2023)
        assert [len(block) for block in blocks] == wanted
        assert sorted(label for block in blocks for label in block) == list(range(classes))
        assert blocks[0][: len(first.get(classes, []))] == first.get(classes, [])
        if classes in last:
            assert blocks[-1] == last[classes]
    for share in deal("few_shot_disjoint"):
        assert share.test is None  # all test images of its classes


def test_quantity_sizes() -> None:
    assert sizes(100, 4, "linear").tolist() == [10, 20, 30, 40]
    assert sizes(100, 4, "square").tolist() == [3, 13, 30, 54]
    assert sizes(100, 4, "exponential").tolist() == [3, 8, 23, 66]
    assert sizes(10**6, 900, "exponential").sum() == 10**6  # e^900 is beyond a float
    assert trained(deal("quantity", growth="linear", clients=4)) == [100, 200, 300, 400]


def test_shards_and_classes_of_a_client() -> None:
    for seed in range(5):
        assert all(len(labels(share)) <= 2 for share in deal("shards", seed))
        owners = np.zeros(CLASSES, int)
        for share in deal("pathological", seed):
            assert len(labels(share)) == 2
            owners[labels(share)] += 1
            counts = np.bincount(TOY.train[share.train])
            assert counts[counts > 0].min() > 0
        assert owners.tolist() == [1] * CLASSES
    # 7 clients x 3 classes = 21 places for 10 classes: two owners each, three of one class.
    owners = np.zeros(CLASSES, int)
    for share in deal("pathological", clients=7, classes_each=3):
        parts = np.bincount(TOY.train[share.train], minlength=CLASSES)
        owners += parts > 0
        assert parts[parts > 0].max() <= 1.5 * 50 + 1
    assert sorted(owners.tolist()) == [2] * 9 + [3]


def test_pachinko_keeps_totals_and_superclasses() -> None:
    dealt = deal("pachinko", alpha=0.3)
    assert [a + b for a, b in zip(trained(dealt), sizes_tested(dealt), strict=True)] == [240] * 5
    groups = np.array(TOY.groups)
    few = deal("pachinko", alpha=0.001, clients=5)
    assert len({int(g) for g in groups[TOY.train[few[0].train]]}) <= 2


def test_iid_and_domains_are_even() -> None:
    assert trained(deal("iid", clients=3)) == [334, 333, 333]
    assert trained(deal("by_domain")) == [500, 500]
    for share in deal("iid"):
        assert np.bincount(TOY.train[share.train]).min() > 5


def test_domain_dirichlet_draws_each_class_anew() -> None:
    """Public code seeds its generator inside the loop over classes: equal rows, no label skew."""
    dealt = deal("domain_dirichlet", clients=5)
    rows = [[int((TOY.train[s.train] == label).sum()) for s in dealt] for label in (0, 1)]
    assert rows[0] != rows[1]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 12), st.floats(0.05, 5), st.integers(0, 50))
def test_dirichlet_refuses_or_deals_all(clients: int, alpha: float, seed: int) -> None:
    for name in ("dirichlet", "dirichlet_capped"):
        try:
            dealt = deal(name, seed, clients=clients, alpha=alpha)
        except ConfigError as error:
            assert f"{clients} clients" in str(error) and "alpha" in str(error)
        else:
            assert sum(trained(dealt)) == len(TOY.train) and min(trained(dealt)) >= 10
