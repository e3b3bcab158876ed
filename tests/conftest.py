"""Fixtures every test of the core shares: frozen random backbones, toy classes, a cache of its own.

torch is imported inside the fixtures, so tests of the parts without tensors stay fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# CI draws the same examples on every run, and fails on what is wrong, not on what is slow.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

if TYPE_CHECKING:
    from fedmvp.clip.backbone import Backbone
    from fedmvp.methods.classes import TextBank


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's caches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDMVP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, for tests of caching itself."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FEDMVP_CACHE", str(folder))
    return folder


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace CLIP's tokenizer by one token per word; see `tests.random_clip.tokenize_words`."""
    from tests.random_clip import tokenize_words

    tokenize_words(monkeypatch)


@pytest.fixture(scope="session")
def backbone() -> Callable[..., Backbone]:
    """Return random backbones by shape; equal arguments share one object."""
    from functools import cache

    from tests.random_clip import random_backbone

    return cache(random_backbone)


@pytest.fixture(scope="session")
def tiny(backbone: Callable[..., Backbone]) -> Backbone:
    """16 patches, width 64, 3 blocks: milliseconds a forward."""
    return backbone("tiny")


@pytest.fixture(scope="session")
def picto(backbone: Callable[..., Backbone]) -> Backbone:
    """PictoCLIP's shape: 64 patches, width 192, 4 blocks."""
    return backbone("picto")


@pytest.fixture(scope="session")
def quick(backbone: Callable[..., Backbone]) -> Backbone:
    """The tiny one with OpenAI's activation, which ViT-B/16 has."""
    return backbone("tiny", quick_gelu=True)


@pytest.fixture(scope="session")
def vit_b16(backbone: Callable[..., Backbone]) -> Backbone:
    """ViT-B/16's widths, heads and tokens, cut to two blocks."""
    return backbone("vit_b16", layers=2, quick_gelu=True)


@pytest.fixture(scope="session")
def bank(tiny: Backbone) -> TextBank:
    """The toy dataset's texts on the tiny backbone; reading features needs `words`."""
    from tests.toys import toy_bank

    return toy_bank(tiny)
