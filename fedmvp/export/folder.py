"""``fedmvp export``: the files of `write_bundle`, with everything else that another person needs.

features.safetensors contains the encoded texts, texts.json the texts; preprocessor_config.json is
in Hugging Face's form; ``backbone/`` is included if its weights ship with this package; README.md
is the model card. The complete folder appears in one rename.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from fedmvp.clip.packaged import packaged_file
from fedmvp.clip.spec import BackboneSpec
from fedmvp.errors import ConfigError
from fedmvp.export.card import model_card
from fedmvp.export.onnx import write_onnx
from fedmvp.export.preprocessing import preprocessing
from fedmvp.files import write_bytes, write_json, write_text
from fedmvp.prediction.bundle import BACKBONE_FOLDER, is_bundle, load_bundle, write_bundle
from fedmvp.prediction.description import backbone_folder
from fedmvp.prediction.model import Model
from fedmvp.prediction.texts import write_texts

__all__ = ["export_folder"]


def export_folder(
    folder: Path,
    result: Path,
    *,
    fold: str | None = None,
    default_dataset: str | None = None,
    with_backbone: bool | None = None,
    onnx: bool = False,
    force: bool = False,
) -> Model:
    """Write a folder that `fedmvp.load` reads anywhere; return its model.

    Parameters
    ----------
    result : Path
        ``results/<setting>/<method>/seed<k>``.
    with_backbone : bool, optional
        Whether to include the frozen CLIP; by default if its weights ship with this package.
    onnx : bool, default=False
        Add an ONNX graph for the default's classes (`fedmvp.export.onnx`).
    force : bool, default=False
        Replace an older export.

    Raises
    ------
    FedMVPError
        As `write_bundle`; when the folder's path is already taken.
    """
    with _replaced(folder, force=force) as place:
        bundle = write_bundle(place, result, fold=fold, default_dataset=default_dataset)
        model = load_bundle(place)
        spec = model.method.backbone.spec
        known: dict[str, Tensor] = {}
        for dataset in bundle.candidates:
            known |= _encoded(model, dataset)
        write_texts(place, model.method.backbone, known)
        write_json(place / "preprocessor_config.json", preprocessing(spec))
        packaged = _is_packaged(spec)
        if packaged if with_backbone is None else with_backbone:
            source = backbone_folder(bundle.backbone)
            _write_backbone(place / BACKBONE_FOLDER, source, spec, packaged=packaged)
        if onnx:
            write_onnx(place, model.predictor())
        write_text(place / "README.md", model_card(bundle, spec, result, fold=fold))
    return model


def _encoded(model: Model, dataset: str) -> dict[str, Tensor]:
    """Return those of a dataset's texts that the method reads, each with its feature [e]."""
    side = model.image_size_px
    predictor = model.predictor(dataset=dataset)
    predictor.predict(np.zeros((1, side, side, 3), dtype=np.uint8))
    return predictor.classes.bank.encoded()


def _is_packaged(spec: BackboneSpec) -> bool:
    """Tell whether these are weights of this package, which may be redistributed (NOTICE)."""
    ours = packaged_file(spec.name, "model.safetensors") is not None
    return ours and spec.pretrained is None


def _write_backbone(folder: Path, source: Path, spec: BackboneSpec, *, packaged: bool) -> None:
    """Copy the frozen CLIP's files, bit for bit, with its own card."""
    for name in ("weights.safetensors", "spec.json"):
        write_bytes(folder / name, (source / name).read_bytes())
    card = packaged_file(spec.name, "MODEL_CARD.md") if packaged else None
    if card is not None:
        write_bytes(folder / "MODEL_CARD.md", card.read_bytes())


@contextmanager
def _replaced(folder: Path, *, force: bool) -> Iterator[Path]:
    """Yield a folder to write to, which replaces `folder` if no error occurs.

    Raises
    ------
    ConfigError
        When the folder already exists; with `force`, when it is not an export.
    """
    there = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    if there and not (force and is_bundle(folder)):
        raise ConfigError(
            "already exists" if not force else "is not an export, so it is not replaced",
            where=folder,
            hint="name another folder" if force else "name another folder, or use --force",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name[:40]}.", dir=folder.parent) as name:
        place = Path(name) / "new"
        place.mkdir()
        yield place
        if there:
            folder.rename(Path(name) / "old")
        place.rename(folder)
