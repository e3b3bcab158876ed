"""The place that tests of prediction work in, with a model in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmvp.prediction.bundle import ServedModel, open_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModel]:
    """A tiny trained model, with one token per word, opened in its folder."""
    from fedmvp.clip import importing, tokens
    from tests.random_clip import WordTokenizer
    from tests.unit.prediction.places import furnish, trained, write_result

    folder = tmp_path_factory.mktemp("service")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FEDMVP_CATALOG", "catalog")
        result = write_result(Path(), trained(furnish(Path())))
        patch.setattr(importing, "import_tokenizer", WordTokenizer)
        patch.setattr(tokens, "cached_features", lambda key, compute: compute())
        yield open_model(result)
