"""What people are told about images that are not as declared: never to delete them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmvp.catalog.spec import dataset_names, load_spec
from fedmvp.data.marker import MARKER
from fedmvp.data.readers.image_files import hint


@pytest.mark.parametrize("name", dataset_names())
@pytest.mark.parametrize("fetched", [True, False])
def test_hints_know_whether_images_can_be_fetched(tmp_path: Path, name: str, fetched: bool) -> None:
    spec = load_spec(name)
    folder = tmp_path / name
    (folder / "deep/down").mkdir(parents=True)
    if fetched:
        (folder / MARKER).write_text("{}")
    text = hint(spec, folder / "deep/down/1.jpg")
    assert "remove" not in text and "delete" not in text
    assert (f"rename {folder} to have it fetched once more" in text) is (
        fetched and spec.can_be_fetched
    )


def test_gone_sources_and_hands_fetch_nothing() -> None:
    assert load_spec("sun397").can_be_fetched
    spec = load_spec("sun397")
    manual = spec.model_copy(update={"sources": (spec.sources[0], spec.sources[-1])})
    assert not manual.can_be_fetched
    assert not spec.model_copy(update={"sources": ()}).can_be_fetched


def test_no_message_of_the_data_layer_tells_to_remove_a_folder() -> None:
    package = Path(__file__).parents[3] / "fedmvp/data"
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert texts
    assert not [path for path, text in texts.items() if "to fetch it again" in text]
