"""The frozen CLIP of a prediction: the pipeline's, or any other, imported once and kept."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fedmvp.clip.conversion import import_backbone
from fedmvp.clip.open_clip_models import PICTOCLIP
from fedmvp.clip.spec import BackboneSpec
from fedmvp.config import BackboneParams, load_params
from fedmvp.errors import BackboneError, DataError, FedMVPError
from fedmvp.files import read_json, sha256_file, sha256_json
from fedmvp.paths import BACKBONE, cache_root

__all__ = ["BackboneChoice", "prepare_backbone", "stage_spec"]

_RULES = 2
"""Increased when the same weights must be imported again, e.g. because checks are stricter."""


@dataclass(frozen=True)
class BackboneChoice:
    """Which backbone is asked for.

    Parameters
    ----------
    name : str or None
        ``"pictoclip"`` or an open_clip model; None: the one of params.yaml.
    weights : Path or None
        Local file; see `fedmvp.clip.weight_files.read_state`.
    pretrained : str or None
        open_clip's tag, where there are no local weights.
    """

    name: str | None = None
    weights: Path | None = None
    pretrained: str | None = None


def stage_spec() -> BackboneSpec | None:
    """Return the spec of the pipeline's backbone, None where the stage has not run.

    Raises
    ------
    BackboneError
        When the file is damaged.
    """
    path = BACKBONE / "spec.json"
    if not path.is_file():
        return None
    try:
        return BackboneSpec.model_validate(read_json(path))
    except ValidationError as error:
        raise BackboneError(
            f"not a backbone's description ({error.error_count()} faults)",
            where=path,
            hint="build it again with `dvc repro --force backbone`",
        ) from None


def prepare_backbone(choice: BackboneChoice) -> Path:
    """Return the folder with the files of the backbone asked for: the pipeline's if it is theirs.

    Any other is imported once and kept in the cache, keyed by the hash of its weights.

    Raises
    ------
    BackboneError
        When it is unknown, has no weights, or they do not fit.
    """
    spec = stage_spec()
    if spec is not None and _is_stages(choice, spec):
        return BACKBONE
    name, weights, pretrained = _complete(choice)
    key = sha256_json(
        [_RULES, name, pretrained, weights and sha256_file(weights), _version("open_clip_torch")]
    )
    folder = cache_root() / "backbones" / f"{name.replace('/', '-')}-{key[:16]}"
    if not _is_whole(folder):
        import_backbone(folder, name, pretrained, weights)
    return folder


def _is_whole(folder: Path) -> bool:
    """Tell whether the cached weights are those the spec, written last, was made for."""
    try:
        spec = BackboneSpec.model_validate(read_json(folder / "spec.json"))
        return sha256_file(folder / "weights.safetensors") == spec.tower_sha256
    except (OSError, ValueError, DataError):
        return False


def _is_stages(choice: BackboneChoice, spec: BackboneSpec) -> bool:
    if choice.weights is not None or choice.name not in (None, spec.name):
        return False
    return choice.pretrained in (None, spec.pretrained)


def _complete(choice: BackboneChoice) -> tuple[str, Path | None, str | None]:
    """Fill what was left out from params.yaml, where it speaks of the same model."""
    params, spec = _params(), stage_spec()
    known = [source.name for source in (params, spec) if source is not None]
    name = choice.name or next(iter(known), None)
    if name is None:
        raise BackboneError(
            "no backbone named",
            where="--backbone",
            hint="give a name, or run from a repository with params.yaml",
        )
    weights, pretrained = choice.weights, choice.pretrained
    if params is not None and params.name == name and weights is None and pretrained is None:
        weights = Path(params.weights) if params.weights else None
        pretrained = params.pretrained
    if weights is not None and not weights.is_file():
        raise BackboneError("weights file is missing", where=weights, hint="correct the path")
    if weights is None and pretrained is None and name != PICTOCLIP:
        raise BackboneError(
            "backbone has no weights",
            where="--backbone",
            value=name,
            hint="give --backbone-weights FILE, or --pretrained TAG to let open_clip fetch them",
        )
    return name, weights, pretrained


def _params() -> BackboneParams | None:
    try:
        return load_params().backbone
    except FedMVPError:
        return None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
