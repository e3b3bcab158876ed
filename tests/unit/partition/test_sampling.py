from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmvp.partition.sampling import base_count, class_blocks, draw_shots

# docs/method.md#class-blocks: classes, base classes, classes of each client at 20 per client.
TABLE = {
    "caltech101": (100, 50, [20, 30]),
    "oxford_flowers": (102, 51, [20, 20, 11]),
    "fgvc_aircraft": (100, 50, [20, 30]),
    "ucf101": (101, 51, [20, 20, 11]),
    "oxford_pets": (37, 19, [19]),
    "food101": (101, 51, [20, 20, 11]),
    "dtd": (47, 24, [24]),
    "stanford_cars": (196, 98, [20] * 4 + [18]),
    "sun397": (397, 199, [20] * 9 + [19]),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_papers_client_table(name: str) -> None:
    classes, base, blocks = TABLE[name]
    assert base_count(classes) == base
    assert [len(block) for block in class_blocks(range(base), 20)] == blocks


@pytest.mark.parametrize(("per_client", "clients"), [(20, 30), (10, 59), (5, 119)])
def test_the_papers_numbers_of_clients(per_client: int, clients: int) -> None:
    made = [class_blocks(range(base), per_client) for _, base, _ in TABLE.values()]
    assert sum(map(len, made)) == clients


@pytest.mark.parametrize(
    ("classes", "per_client", "blocks"),
    [
        (1000, 20, [20] * 50),
        (1000, 5, [5] * 200),
        (7, 20, [7]),
        (10, 20, [10]),
        (65, 20, [20, 20, 25]),
        (345, 20, [20] * 16 + [25]),
    ],
)
def test_blocks_of_whole_datasets(classes: int, per_client: int, blocks: list[int]) -> None:
    assert [len(block) for block in class_blocks(range(classes), per_client)] == blocks


@given(st.integers(1, 500), st.integers(1, 60))
def test_blocks_are_a_partition_in_order(classes: int, per_client: int) -> None:
    blocks = class_blocks(range(classes), per_client)
    assert [c for block in blocks for c in block] == list(range(classes))
    assert all(blocks)
    assert {len(block) for block in blocks[:-1]} <= {per_client}


def test_shots_depend_on_their_words_alone() -> None:
    images = list(range(50))
    drawn = draw_shots(images, 8, 1, "animals", "", "cat")
    assert drawn == draw_shots(images, 8, 1, "animals", "", "cat") == sorted(set(drawn))
    assert len(drawn) == 8
    for other in (
        (2, "animals", "", "cat"),
        (1, "food", "", "cat"),
        (1, "animals", "noto", "cat"),
        (1, "animals", "", "dog"),
    ):
        assert draw_shots(images, 8, *other) != drawn


@given(st.integers(1, 30), st.integers(1, 30))
def test_fewer_shots_are_among_more(few: int, more: int) -> None:
    few, more = min(few, more), max(few, more)
    images = list(range(20))
    chosen = draw_shots(images, few, 1, "animals", "", "cat")
    assert len(chosen) == min(few, 20)
    assert set(chosen) <= set(draw_shots(images, more, 1, "animals", "", "cat"))
