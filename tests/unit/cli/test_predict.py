"""``fedmvp predict``, against formulas written apart from the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fedmvp.clip.backbone import Backbone
from fedmvp.data.decode import decode_image
from fedmvp.evaluation.domain import Domain
from tests.bridge import reference_clip
from tests.random_clip import WordTokenizer
from tests.reference.encoders import text_feature
from tests.reference.fedmvp import OFFICIAL, PAPER, Classes, class_scores, feature
from tests.unit.cli.conftest import Run
from tests.unit.prediction.places import official_state, save_official, trained, write_result

ATTRIBUTES = {
    "Red_Fox": ["a long bushy tail", "amber eyes", "often curled up"],
    "teapot": ["used for pouring", "curved spout"],
    "snow owl": [f"white feathers with {'very ' * 14}dark spots all over them"],
}


@pytest.fixture
def place(run: Run, tower: Backbone, tmp_path: Path) -> Backbone:
    """Official weights, imported; attributes and classes of one's own."""
    save_official(tmp_path / "model.pth.tar-7", official_state(64, 40))
    run("import-official", "model.pth.tar-7", "--out", "w.safetensors")
    Path("attributes.json").write_text(json.dumps(ATTRIBUTES), encoding="utf-8")
    Path("classes.txt").write_text("snow owl\nred fox\n", encoding="utf-8")
    return tower


def expected(
    backbone: Backbone, names: list[str], style: tuple[str, str], variant: str, *, lora: bool
) -> dict[str, float]:
    """Compute the logits of image0.png from the formulas (docs/method.md#promptformer)."""
    clip = reference_clip(backbone)
    spoken = {name.lower().replace("_", " "): texts for name, texts in ATTRIBUTES.items()}
    verbs = {
        "a long bushy tail": "is",
        "amber eyes": "is",
        "often curled up": "",
        "used for pouring": "is",
    }

    def encode(text: str) -> torch.Tensor:
        (ids,) = WordTokenizer(77)([text])
        return text_feature(ids, clip.weights, clip.sizes)

    sentences, bank = [], []
    for name in names:
        own = []
        for text in spoken[name.lower().replace("_", " ")]:
            verb = verbs.get(text, "has")
            kind = f", {style[1]}" if style[1] else ""
            words = name.replace("_", " ")
            whole = f"{style[0]} {words}{kind}, which {verb} {text}".replace("  ", " ")
            own.append(encode(whole[:77] if variant == "official-code" else whole))
            bank.append(own[-1] if variant == "official-code" else encode(text))
        sentences.append(torch.stack(own))
    classes = Classes(torch.stack(bank), sentences)
    state = {key: value.double() for key, value in official_state(64, 40).items()}
    recipe = OFFICIAL if variant == "official-code" else PAPER
    pixels = decode_image(Path("image0.png"), 32).copy()
    image = backbone.normalise(pixels[None])[0].double()
    v = feature(image, classes, state, recipe, clip, lora=lora)
    return dict(zip(names, class_scores(v, classes, clip).tolist(), strict=True))


def answer(run: Run, *words: str) -> Any:
    return json.loads(run("predict", *words, "--json").stdout)


IMPORTED = ("image0.png", "--weights", "w.safetensors", "--backbone", "tiny")


@pytest.mark.parametrize("variant", ["paper", "official-code"])
@pytest.mark.parametrize("lora", [False, True])
def test_logits_of_imported_weights(run: Run, place: Backbone, variant: str, lora: bool) -> None:
    words = (*IMPORTED, "--attributes", "attributes.json", "--variant", variant, "--logits")
    (record,) = answer(run, *words, *(["--lora"] if lora else []))
    assert record["image"] == "image0.png"
    wanted = expected(place, list(ATTRIBUTES), ("a photo of a", ""), variant, lora=lora)
    assert list(record["logits"]) == list(ATTRIBUTES)
    np.testing.assert_allclose(
        list(record["logits"].values()), list(wanted.values()), rtol=0, atol=2e-4
    )


def test_dataset_style_own_classes_and_attributes_together(run: Run, place: Backbone) -> None:
    words = ("--dataset", "toys", "--classes", "classes.txt", "--attributes", "attributes.json")
    # Names are matched whatever their underscores, but not whatever their case.
    assert "got 'red fox'" in run("predict", *IMPORTED, *words, code=2).stderr
    lists = {name.replace("Red_Fox", "red_fox"): texts for name, texts in ATTRIBUTES.items()}
    Path("attributes.json").write_text(json.dumps(lists), encoding="utf-8")
    (record,) = answer(run, *IMPORTED, *words, "--logits")
    style = ("a sketch of a", "a kind of toy")
    wanted = expected(place, ["snow owl", "red fox"], style, "paper", lora=False)
    assert list(record["logits"]) == ["snow owl", "red fox"]
    np.testing.assert_allclose(
        list(record["logits"].values()), list(wanted.values()), rtol=0, atol=2e-4
    )


def test_probabilities_are_the_softmax_of_the_logits(run: Run, place: Backbone) -> None:
    words = (*IMPORTED, "image1.png", "--dataset", "toys")
    shares, logits = answer(run, *words), answer(run, *words, "--logits")
    assert [record["image"] for record in shares] == ["image0.png", "image1.png"]
    for share, logit in zip(shares, logits, strict=True):
        scores = np.exp(np.array(list(logit["logits"].values())))
        values = list(share["probabilities"].values())
        np.testing.assert_allclose(values, scores / scores.sum(), rtol=1e-5)
        assert sum(values) == pytest.approx(1)


def test_results_and_zero_shot_for_people(run: Run, place: Backbone) -> None:
    folder = write_result(Path(), trained(place))
    output = run("predict", "image0.png", "image1.png", "--weights", str(folder)).stdout
    assert output.count(" %  ") == 8
    assert output.startswith("image0.png\n  ")
    plain = run("predict", "image0.png", "--classes", "classes.txt", "--logits").stdout
    assert "%" not in plain
    assert "snow owl" in plain
    named = ("predict", "image0.png", "--classes", "classes.txt", "--logits", "--weights")
    assert run(*named, "zero_shot").stdout == plain


def test_explain_draws_the_attention(run: Run, place: Backbone) -> None:
    words = (*IMPORTED, "image1.png", "--dataset", "toys", "--explain", "deep/er/out.png")
    result = run("predict", *words)
    assert "attention: deep/er/out.png" in result.stderr
    with Image.open("deep/er/out.png") as picture:
        assert picture.format == "PNG"
        assert picture.height > 2 * 192
    result = run("predict", "image0.png", "--dataset", "toys", "--explain", "no.png", code=2)
    assert "patches do not attend to attributes" in result.stderr
    assert not Path("no.png").exists()


@pytest.mark.parametrize("name", ["absent.png", "cut.png", "text.png", "empty"])
def test_a_bad_image_is_one_line_and_nothing_else(run: Run, place: Backbone, name: str) -> None:
    Path("cut.png").write_bytes(Path("image0.png").read_bytes()[:90])
    Path("text.png").write_text("no image", encoding="utf-8")
    Path("empty").mkdir()
    result = run("predict", "image0.png", name, "--dataset", "toys", "--json", code=2)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: {name}: ")
    assert "hint: " in result.stderr


def test_a_folder_gives_all_its_images(run: Run, place: Backbone) -> None:
    (Path("photos") / "deep").mkdir(parents=True)
    for number, name in enumerate(("b.png", "deep/a.PNG")):
        (Path("photos") / name).write_bytes(Path(f"image{number}.png").read_bytes())
    Path("photos/notes.txt").write_text("no image", encoding="utf-8")
    found = answer(run, "photos", "image1.png", "--dataset", "toys")
    assert [record["image"] for record in found] == [
        "photos/b.png",
        "photos/deep/a.PNG",
        "image1.png",
    ]
    # An image's place in its batch may change the last digits.
    assert found[1]["probabilities"] == pytest.approx(found[2]["probabilities"], abs=1e-5)
    assert found[1]["probabilities"] != pytest.approx(found[0]["probabilities"], abs=1e-5)


def test_images_that_are_not_what_they_seem(run: Run, place: Backbone) -> None:
    with Image.open("image0.png") as picture:
        picture.convert("L").save("grey.jpg", format="PNG")
        picture.convert("CMYK").save("cmyk.jpg")
        picture.convert("RGBA").save("alpha.webp")
    records = answer(run, "grey.jpg", "cmyk.jpg", "alpha.webp", "--dataset", "toys")
    assert len(records) == 3


def test_faults_name_the_option(run: Run, place: Backbone) -> None:
    for words, message in (
        (("image0.png",), "--dataset NAME or --classes FILE"),
        (("image0.png", "--dataset", "toy"), "did you mean 'toys'"),
        ((*IMPORTED, "--classes", "classes.txt"), "got 'snow owl'; hint: give them with --attr"),
        ((*IMPORTED, "--dataset", "toys", "--variant", "official"), "got 'official'"),
        ((*IMPORTED, "--dataset", "toys", "--method", "fedmpv"), "unknown method"),
        (("image0.png", "--dataset", "toys", "--weights", "model.pth.tar-7"), "import-official"),
        (("image0.png", "--dataset", "toys", "--backbone-weights", "absent.pt"), "missing"),
    ):
        assert message in run("predict", *words, code=2).stderr


def test_attention_is_written_where_its_name_leads(
    place: Backbone, run: Run, tmp_path: Path
) -> None:
    """A link stays one, a device gets the picture; of names nothing on the picture is a command."""
    method = trained(place)
    words = (
        "predict",
        "image0.png",
        "--weights",
        str(write_result(tmp_path, method)),
        "--dataset",
        "toys",
        "--explain",
    )
    (tmp_path / "elsewhere").mkdir()
    Path("link.png").symlink_to("elsewhere/attention.png")
    Path("image\x1b[2J\n\udcff.png").write_bytes(Path("image0.png").read_bytes())
    run(*words, "link.png")
    assert Path("link.png").is_symlink()
    assert Path("elsewhere/attention.png").read_bytes().startswith(b"\x89PNG")
    run(*words, "/dev/null")
    assert Path("/dev/null").is_char_device()
    run("predict", "image\x1b[2J\n\udcff.png", *words[2:], "odd.png")
    assert Path("odd.png").read_bytes().startswith(b"\x89PNG")


def test_photographs_on_a_backbone_of_drawings_are_told(
    run: Run, place: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Domain(backbone="tiny", images="toys", image_size=32, patch_size=8, plain_patches=0.9)
    monkeypatch.setattr("fedmvp.prediction.model.domain_of", lambda spec: kind)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save("noise.png")
    Image.new("RGB", (32, 32), "white").save("plain.png")
    words = ("--classes", "classes.txt", "--json")
    told = run("predict", "noise.png", *words)
    assert "warning: the image looks like a photograph, and tiny knows toys alone" in told.stderr
    assert json.loads(told.stdout)
    assert "warning" not in run("predict", "plain.png", *words).stderr
