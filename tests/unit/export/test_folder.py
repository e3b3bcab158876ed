"""``fedmvp export``: a folder that stands alone, its card, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import fedmvp
from fedmvp.cli import app
from fedmvp.errors import BackboneError, CheckpointError
from fedmvp.files import read_json, write_json
from tests.unit.export.hub_server import hub
from tests.unit.prediction.places import CLASSES

FILES = {
    "README.md",
    "features.safetensors",
    "model.json",
    "preprocessor_config.json",
    "texts.json",
    "weights.safetensors",
}


def export(*words: str, code: int = 0) -> str:
    """Run the command; return what it says."""
    done = CliRunner().invoke(app, ["export", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_a_folder_is_loaded_where_nothing_else_is(
    result: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither catalog, attributes, backbone nor tokenizer are needed, and the bits are the same."""
    expected = fedmvp.load(result).classify("image0.png")
    assert "exported: out" in export(str(result), "out", "--backbone")
    names = {path.name for path in Path("out").iterdir()}
    assert names == FILES | {"backbone"}
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "toys"
    image = Path("image0.png").absolute()
    Path("out").rename(elsewhere)
    monkeypatch.chdir(elsewhere.parent)
    monkeypatch.delenv("FEDMVP_CATALOG")

    def never(length: int) -> None:
        raise AssertionError("a text was tokenized")

    monkeypatch.setattr("fedmvp.clip.tokens.import_tokenizer", never)
    model = fedmvp.load("toys")
    found = model.classify(image, attention=True)
    np.testing.assert_array_equal(found.logits, expected.logits)
    assert found.classes == CLASSES
    # Classes in another order and fewer of them: their texts are there, too.
    assert model.classify(image, classes=["kite", "teapot"]).classes == ("kite", "teapot")


def test_the_backbone_is_named_where_it_is_not_inside(result: Path) -> None:
    export(str(result), "out")
    assert not Path("out/backbone").exists()  # random weights are no part of the package
    image = "image0.png"
    expected = fedmvp.load(result).classify(image).logits
    np.testing.assert_array_equal(fedmvp.load("out").classify(image).logits, expected)
    spec = read_json(Path("data/backbone/spec.json"))
    write_json(Path("data/backbone/spec.json"), {**spec, "tower_sha256": "0" * 64})
    with pytest.raises(BackboneError):
        fedmvp.load("out")


def test_the_card_says_what_the_run_was(result: Path) -> None:
    export(str(result), "out")
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: fedmvp\nlicense: other\n")
    assert "fedmvp.load" in card
    assert "| toys | 4 | 16 | a sketch of a {}. |" in card
    assert "2 clients with 14 images took part in 2 rounds; a client sent 1,000 bytes" in card
    ends = re.search(r"\| base \| 50\.0 \| ([\d.]+) to ([\d.]+) \|", card)
    assert ends is not None
    assert 0 <= float(ends[1]) < 50 < float(ends[2]) <= 100
    assert "| hm | 69.2 |" in card
    assert "* Images of toys: none" in card
    assert "`rounds` | 2 |" in card
    spec = read_json(Path("data/backbone/spec.json"))
    assert spec["tower_sha256"] in card
    assert str(Path.cwd()) not in card


def test_the_card_of_a_run_that_was_not_evaluated(result: Path) -> None:
    (result / "predictions.csv").unlink()
    export(str(result), "a")
    card = Path("a/README.md").read_text(encoding="utf-8")
    assert "| base | 50.0 |  |" in card
    assert "there are no intervals" in card
    for name in ("metrics.json", "rounds.csv"):
        (result / name).unlink()
    export(str(result), "b")
    card = Path("b/README.md").read_text(encoding="utf-8")
    assert "It was not evaluated." in card
    assert "log of its rounds is missing" in card


def test_the_same_run_gives_the_same_bytes(result: Path) -> None:
    for name in ("a", "b"):
        export(str(result), name, "--backbone")
    for path in (p for p in Path("a").rglob("*") if p.is_file()):
        assert path.read_bytes() == (Path("b") / path.relative_to("a")).read_bytes(), path


def test_the_preprocessing_is_that_of_the_backbone(result: Path) -> None:
    export(str(result), "out")
    value = json.loads(Path("out/preprocessor_config.json").read_text())
    assert value["crop_size"] == {"height": 32, "width": 32}
    assert value["image_mean"] == [0.48, 0.46, 0.41]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("absent", "out"), "absent"),
        (("RESULT", "out", "--fold", "other"), "no such fold"),
        (("RESULT", "out", "--dataset", "food"), "not a dataset of the run"),
        (("RESULT", "full"), "full: already exists"),
        (("RESULT", "full", "--force"), "is not an export, so it is not replaced"),
        (("RESULT", "image0.png"), "already exists"),
        (("RESULT", "out", "--public"), "nothing is uploaded"),
        (("RESULT", "out", "--push-to-hub", "toys"), "give USER/NAME"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(
    result: Path, words: tuple[str, ...], message: str
) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine", encoding="utf-8")
    before = sorted(Path().rglob("*"))
    output = export(*(str(result) if word == "RESULT" else word for word in words), code=2)
    assert message in output
    assert "Traceback" not in output
    assert sorted(Path().rglob("*")) == before


def test_an_older_export_is_replaced_when_told(result: Path) -> None:
    export(str(result), "out")
    (Path("out") / "stray").write_text("x", encoding="utf-8")
    export(str(result), "out", code=2)
    export(str(result), "out", "--force")
    assert {path.name for path in Path("out").iterdir()} == FILES
    assert not list(Path().glob(".out*"))


@pytest.mark.parametrize("damage", ["cut", "rows", "gone", "text"])
def test_damaged_texts_are_told(result: Path, damage: str) -> None:
    export(str(result), "out")
    features, listed = Path("out/features.safetensors"), Path("out/texts.json")
    if damage == "cut":
        features.write_bytes(features.read_bytes()[:-8])
    elif damage == "gone":
        features.unlink()
    elif damage == "rows":
        value = read_json(listed)
        write_json(listed, {**value, "texts": value["texts"][1:]})
    else:
        write_json(listed, {"texts": 3})
    with pytest.raises(CheckpointError, match=r"hint: export the model again"):
        fedmvp.load("out")


def test_a_hub_gets_every_file_once_it_is_named(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with hub() as state:
        monkeypatch.setenv("HF_ENDPOINT", state.address)
        export(str(result), "quiet")
        assert not state.tokens  # nobody was asked
        output = export(str(result), "out", "--push-to-hub", "ann/toys")
    assert f"pushed: {state.address}/ann/toys" in output
    assert state.repositories == {"ann/toys": "private"}
    assert set(state.files) == FILES
    for name, content in state.files.items():
        assert content == (Path("out") / name).read_bytes()
    assert state.tokens == {"Bearer hf_secret"}


def test_a_hub_that_refuses_is_one_line(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with hub(refuses=401) as state:
        monkeypatch.setenv("HF_ENDPOINT", state.address)
        output = export(str(result), "out", "--push-to-hub", "ann/toys", code=2)
    line = output.splitlines()[-1]
    assert line.startswith("error: ann/toys: the Hub refused the upload")
    assert "hf_secret" not in output
    assert Path("out/model.json").is_file()
