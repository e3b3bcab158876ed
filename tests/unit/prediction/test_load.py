"""From files to a predictor: what is taken from where, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.data.inputs import read_images
from fedmvp.errors import AttributeTextError, BackboneError, CheckpointError, ConfigError
from fedmvp.files import read_json, write_json
from fedmvp.methods.base import Method
from fedmvp.methods.official_checkpoint import from_official
from fedmvp.prediction import PredictionRequest, load_predictor
from fedmvp.prediction.assembly import section_of
from fedmvp.prediction.backbones import BackboneChoice
from fedmvp.prediction.model import PredictionWarning
from fedmvp.prediction.predictor import Predictor, probabilities, ranked
from fedmvp.results.learned import read_learned, save_learned
from tests.unit.prediction.places import official_state, trained, write_result

Write = Callable[..., Path]


def logits(predictor: Predictor) -> np.ndarray:
    images = read_images([Path("image0.png"), Path("image1.png")], predictor.image_size_px).pixels
    return predictor.predict(images)


def direct(method: Method, predictor: Predictor) -> np.ndarray:
    """Compute the same without the predictor."""
    images = read_images([Path("image0.png"), Path("image1.png")], predictor.image_size_px).pixels
    method.enter(None)
    with torch.no_grad():
        return method.logits(method.backbone.normalise(images), predictor.classes).numpy()


def test_a_result_brings_everything(tower: Backbone) -> None:
    method = trained(tower, classifier="concat", heads=2, rank=4)
    folder = write_result(Path(), method)
    for weights in (folder, folder / "weights.safetensors"):
        predictor = load_predictor(PredictionRequest(weights))
        assert predictor.class_names == ("red_fox", "teapot", "snow owl", "kite")
        assert predictor.method.params == method.params.model_copy(
            update=predictor.method.params.model_dump()
        )
        np.testing.assert_array_equal(logits(predictor), direct(method, predictor))


def test_probabilities_are_the_softmax() -> None:
    shares = probabilities(np.array([[0.0, 1000.0], [1.0, 1.0]], dtype=np.float32))
    np.testing.assert_array_equal(shares, [[0, 1], [0.5, 0.5]])
    assert ranked(["a", "b", "c"], np.array([0.2, 0.5, 0.2]), 2) == [("b", 0.5), ("a", 0.2)]


def test_batches_do_not_matter(tower: Backbone) -> None:
    predictor = load_predictor(PredictionRequest(write_result(Path(), trained(tower))))
    images = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3)).astype(np.uint8)
    together, alone = predictor.predict(images), predictor.predict(images, batch_size=2)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert predictor.predict(images[:0]).shape == (0, 4)


def test_folds(tower: Backbone) -> None:
    folder = write_result(Path(), trained(tower), folds=("noto", "twemoji"))
    with pytest.raises(ConfigError, match=r"several folds.*--fold: noto, twemoji"):
        load_predictor(PredictionRequest(folder))
    with pytest.raises(ConfigError, match=r"no such fold.*noto, twemoji"):
        load_predictor(PredictionRequest(folder, fold="emojione"))
    first, second = (
        logits(load_predictor(PredictionRequest(folder, fold=name))) for name in ("noto", "twemoji")
    )
    assert np.abs(first - second).max() > 1e-3


def test_personal_tensors_are_left_out(tower: Backbone) -> None:
    folder = write_result(Path(), trained(tower))
    path = folder / "weights.safetensors"
    learned = read_learned(path)
    tensors = {f"main/{name}": tensor for name, tensor in learned.tensors.items()}
    save_learned(path, {**tensors, "main/promptformer.bank.bias@c-000": torch.zeros(3)}, {})
    assert read_learned(path).tensors.keys() == learned.tensors.keys()


def test_a_variant_sets_the_flags_and_keeps_the_sizes(tower: Backbone) -> None:
    method = trained(tower, n_prompts=2, heads=2, attr_bank="names", variant="paper")
    learned = read_learned(write_result(Path(), method))
    own = section_of("fedmvp", learned)
    assert own.model_dump()["attr_bank"] == "names"
    other = section_of("fedmvp", learned, variant="official-code")
    assert (other.n_prompts, other.heads) == (2, 2)  # type: ignore[attr-defined]
    assert other.resolved()["attr_bank"] == "official"
    assert other.resolved()["truncate"] == "chars77"
    assert section_of("fedmvp", learned, lora=False).resolved()["lora_eval"] is False


@pytest.fixture
def imported(tower: Backbone) -> Callable[..., Path]:
    """Write imported official weights, with or without LoRA."""

    def write(*, lora: bool) -> Path:
        tensors = from_official(official_state(64, 40))
        path = Path(f"imported-{lora}.safetensors")
        note = {"method": "fedmvp", "params": {"rank": 8, "lora_eval": lora}}
        save_learned(path, tensors, note)
        return path

    return write


@pytest.mark.parametrize("variant", [None, "paper", "official-code"])
def test_imported_weights_say_whether_lora_is_on(imported: Write, variant: str | None) -> None:
    """LoRA is part of what was imported, not of the variant; an option overrules both."""
    off, on = (
        load_predictor(PredictionRequest(imported(lora=lora), dataset="toys", variant=variant))
        for lora in (False, True)
    )
    assert np.abs(logits(off) - logits(on)).max() > 1e-3
    asked = load_predictor(
        PredictionRequest(imported(lora=False), dataset="toys", variant=variant, lora=True)
    )
    np.testing.assert_array_equal(logits(asked), logits(on))


def test_zero_shot_needs_no_weights_and_no_attributes(tower: Backbone) -> None:
    Path("classes.txt").write_text("sea star\ntram\n", encoding="utf-8")
    predictor = load_predictor(PredictionRequest(classes=Path("classes.txt")))
    features = tower.encode_texts(["a photo of a sea star.", "a photo of a tram."])
    images = read_images([Path("image0.png"), Path("image1.png")], 32).pixels
    with torch.no_grad():
        seen = tower.vision.features(tower.normalise(images))
        expected = tower.scale * seen @ features.T
    np.testing.assert_allclose(logits(predictor), expected.numpy(), rtol=1e-5)


def test_classes_without_attributes_are_named_when_they_are_needed(imported: Write) -> None:
    Path("classes.txt").write_text("kite\nsea star\n", encoding="utf-8")
    predictor = load_predictor(
        PredictionRequest(imported(lora=False), dataset="toys", classes=Path("classes.txt"))
    )
    with pytest.raises(AttributeTextError, match=r"no attributes.*'sea star'.*--attributes FILE"):
        logits(predictor)


def test_methods_without_training_ignore_weights(tower: Backbone, imported: Write) -> None:
    plain = load_predictor(PredictionRequest(dataset="toys"))
    given = load_predictor(
        PredictionRequest(imported(lora=False), method="zero_shot", dataset="toys")
    )
    np.testing.assert_array_equal(logits(plain), logits(given))


def test_what_cannot_go_together(tower: Backbone, imported: Write) -> None:
    with pytest.raises(ConfigError, match=r"needs its learned tensors.*--weights FILE"):
        load_predictor(PredictionRequest(method="fedmvp", dataset="toys"))
    with pytest.raises(ConfigError, match=r"unknown method.*fedmvp"):
        load_predictor(PredictionRequest(imported(lora=False), method="fedmpv", dataset="toys"))
    with pytest.raises(ConfigError, match=r"zero_shot has no variant"):
        load_predictor(PredictionRequest(dataset="toys", variant="paper"))
    with pytest.raises(ConfigError, match=r"variant.*'papper'"):
        load_predictor(PredictionRequest(imported(lora=False), dataset="toys", variant="papper"))
    with pytest.raises(ConfigError, match=r"has no folds"):
        load_predictor(PredictionRequest(imported(lora=False), dataset="toys", fold="main"))


def test_tensors_that_do_not_fit_are_named(tower: Backbone) -> None:
    learned = read_learned(write_result(Path(), trained(tower)))
    name = "promptformer.bank.bias"
    rest = {key: value for key, value in learned.tensors.items() if key != name}
    for tensors, message in (
        (rest, f"tensor is missing.*{name}"),
        ({**learned.tensors, "more": torch.zeros(1)}, "tensor is extra.*more"),
        ({**learned.tensors, name: torch.zeros(3)}, rf"{name} has shape \(3,\) instead of \(64,\)"),
    ):
        save_learned(Path("x.safetensors"), tensors, {"method": "fedmvp"})
        with pytest.raises(CheckpointError, match=message):
            load_predictor(PredictionRequest(Path("x.safetensors"), dataset="toys"))


def test_files_that_are_no_weights(tower: Backbone) -> None:
    Path("noise.safetensors").write_bytes(b"noise")
    for name in ("noise.safetensors", "image0.png", "absent", "."):
        with pytest.raises(CheckpointError, match=r"import-official"):
            load_predictor(PredictionRequest(Path(name), dataset="toys"))
    save_learned(Path("other.safetensors"), {"context": torch.zeros(2)}, {})
    with pytest.raises(ConfigError, match=r"do not name their method.*--method NAME"):
        load_predictor(PredictionRequest(Path("other.safetensors"), dataset="toys"))
    save_learned(Path("other.safetensors"), {"context": torch.zeros(2)}, {"method": "new"})
    with pytest.raises(CheckpointError, match=r"unknown method.*'new'"):
        load_predictor(PredictionRequest(Path("other.safetensors"), dataset="toys"))


def test_a_run_with_several_datasets_asks_which(tower: Backbone) -> None:
    folder = write_result(Path(), trained(tower))
    run = read_json(folder / "run.json")
    run["inputs"]["data/attributes/food.json"] = "0" * 64
    write_json(folder / "run.json", run)
    with pytest.raises(ConfigError, match=r"choose one: food, toys"):
        load_predictor(PredictionRequest(folder))
    assert load_predictor(PredictionRequest(folder, dataset="toys")).class_names[0] == "red_fox"


def test_another_backbone_than_the_runs_is_told(tower: Backbone) -> None:
    folder = write_result(Path(), trained(tower))
    run = read_json(folder / "run.json")
    run["inputs"]["data/backbone/spec.json"] = "0" * 64
    write_json(folder / "run.json", run)
    with pytest.warns(PredictionWarning, match=r"another backbone"):
        load_predictor(PredictionRequest(folder, backbone=BackboneChoice("tiny")))


def test_a_backbone_needs_a_name_and_weights(tower: Backbone) -> None:
    spec = Path("data/backbone/spec.json")
    spec.rename("spec.json")
    with pytest.raises(BackboneError, match=r"no backbone named"):
        load_predictor(PredictionRequest(dataset="toys"))
    with pytest.raises(BackboneError, match=r"has no weights.*--backbone-weights FILE"):
        load_predictor(
            PredictionRequest(dataset="toys", backbone=BackboneChoice("ViT-B-16-quickgelu"))
        )
    choice = BackboneChoice("ViT-B-16-quickgelu", Path("absent.pt"))
    with pytest.raises(BackboneError, match=r"weights file is missing"):
        load_predictor(PredictionRequest(dataset="toys", backbone=choice))


def test_a_foreign_backbone_is_imported_once(
    tower: Backbone, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedmvp.prediction import backbones

    calls: list[str] = []

    def fake(out: Path, name: str, pretrained: str | None, weights: Path | None) -> None:
        calls.append(name)
        out.mkdir(parents=True, exist_ok=True)
        for part in ("weights.safetensors", "spec.json"):
            (out / part).write_bytes((Path("data/backbone") / part).read_bytes())

    monkeypatch.setattr(backbones, "import_backbone", fake)
    choice = BackboneChoice("tiny", Path("image0.png"))  # any file with a hash
    for _ in range(2):
        load_predictor(PredictionRequest(dataset="toys", backbone=choice))
    assert calls == ["tiny"]
    damaged = next(cache.rglob("weights.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    load_predictor(PredictionRequest(dataset="toys", backbone=choice))
    assert calls == ["tiny", "tiny"]
    load_predictor(
        PredictionRequest(dataset="toys", backbone=BackboneChoice("tiny", Path("image1.png")))
    )
    assert len(calls) == 3
