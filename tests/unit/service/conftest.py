"""The place that tests of prediction work in, with a model in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmvp.prediction.served import ServedModel, open_served


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModel]:
    """A tiny trained model, with one token per word, opened in its folder."""
    from tests.random_clip import tokenize_words
    from tests.unit.prediction.places import furnish, trained, write_result

    folder = tmp_path_factory.mktemp("service")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FEDMVP_CATALOG", "catalog")
        result = write_result(Path(), trained(furnish(Path())))
        tokenize_words(patch)
        yield open_served(result)
