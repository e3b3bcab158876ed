"""The fuzz targets without a fuzzer: seeds, the corpus of past findings, mutations of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
MUTATIONS = 40


def mutations(data: bytes, target: str) -> Iterator[bytes]:
    """Yield inputs near `data`: cut, with bytes flipped, doubled, or numbers made huge."""
    draw = np.random.default_rng([len(data), *target.encode()])
    for number in range(MUTATIONS):
        start, length = (int(x) for x in draw.integers(0, [len(data) + 1, 9]))
        part = data[start : start + length]
        yield (
            data[:start],
            data[:start] + draw.bytes(length) + data[start + length :],
            data[:start] + part * 50 + data[start:],
            data[:start] + data[start + length :],
            data.replace(b"1", b"9" * 30, 1 + start % 3),
        )[number % 5]


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    target, known = TARGETS[name], seeds(name)
    assert known, "a fuzzer needs something to start from"
    past = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    for data in (b"", *known, *past):
        target(data)
        for mutated in mutations(data, name):
            target(mutated)


def test_every_corpus_has_its_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= TARGETS.keys()
