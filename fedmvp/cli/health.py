"""What `fedmvp doctor` checks: each check is a function that yields findings with hints."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedmvp.errors import FedMVPError
from fedmvp.wording import plural

if TYPE_CHECKING:
    from fedmvp.catalog.spec import DatasetSpec
    from fedmvp.config import Params

__all__ = ["CHECKS", "Check", "Line", "examine"]

_PYTHON = ((3, 11), (3, 14))  # from, to before
_GIB = 1 << 30
_LEAST_FREE_GIB = 2
_ENV = "run `make env`"


@dataclass(frozen=True)
class Line:
    """One finding.

    Parameters
    ----------
    check : str
        What was checked.
    ok : bool
    detail : str
        What was found.
    hint : str
        What to do; empty when nothing has to be done.
    """

    check: str
    ok: bool
    detail: str
    hint: str = ""


Check = Callable[[str], Iterator[Line]]
"""A check; it is called with its name."""


def examine(checks: Mapping[str, Check]) -> Iterator[Line]:
    """Yield the findings of the checks; one that fails does not hide the others."""
    for name, check in checks.items():
        try:
            for line in check(name):
                yield replace(line, hint="") if line.ok else line
        except FedMVPError as error:
            what = error.what if error.value is None else f"{error.what}, got {error.value!r}"
            yield Line(name, False, f"{error.where}: {what}", error.hint)
        except ImportError as error:
            yield Line(name, False, f"package cannot be imported ({error})", _ENV)
        except OSError as error:
            yield Line(name, False, str(error), "check the path and its permissions")


def _python(check: str) -> Iterator[Line]:
    yield Line(
        check,
        _PYTHON[0] <= sys.version_info < _PYTHON[1],
        platform.python_version(),
        "use Python 3.11 to 3.13: `make env PYTHON=python3.11`",
    )


def _packages(check: str) -> Iterator[Line]:
    try:
        wanted = importlib.metadata.requires("fedmvp") or []
    except importlib.metadata.PackageNotFoundError:
        yield Line(check, False, "fedmvp is not installed", _ENV)
        return
    found = 0
    for requirement in (text for text in wanted if "extra ==" not in text):
        name, pin = _name_and_pin(requirement)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Line(check, False, f"{name} is not installed", _ENV)
            continue
        if pin is not None and version.split("+")[0] != pin:
            yield Line(check, False, f"{name} is {version}, not {pin}", _ENV)
        found += 1
    yield Line(check, True, f"{plural(found, 'package')} installed")


def _name_and_pin(requirement: str) -> tuple[str, str | None]:
    """Return the name of a requirement, and its version if it is pinned exactly.

    Examples
    --------
    >>> _name_and_pin("dvc==3.67.1"), _name_and_pin("numpy>=2.2")
    (('dvc', '3.67.1'), ('numpy', None))
    """
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    pin = re.search(r"==([\w.]+)\s*(?:[,;)]|$)", requirement)
    return name, pin[1] if pin else None


def _programs(check: str) -> Iterator[Line]:
    for name in ("git", "dvc"):
        found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
        yield Line(
            check,
            found is not None,
            f"{name} {'found' if found else 'not found'}",
            _ENV if name == "dvc" else "install git",
        )


def _params(check: str) -> Iterator[Line]:
    from fedmvp.catalog.spec import load_spec
    from fedmvp.partition.build import setting_scheme
    from fedmvp.partition.folds import datasets_of
    from fedmvp.partition.setting_spec import load_setting

    params = _load()
    for name in params.run.settings:
        setting = load_setting(params.run.suite, name)
        datasets_of(setting, params.data.datasets)
        setting_scheme(name, setting, params.partition.scheme, params.partition.classes_per_client)
    for name in params.data.datasets:
        load_spec(name)
    sizes = f"{plural(len(params.run.settings), 'setting')}, "
    sizes += plural(len(params.data.datasets), "dataset")
    yield Line(check, True, f"params.yaml: profile {params.profile}, {sizes}")


def _methods(check: str) -> Iterator[Line]:
    from fedmvp.methods.build import method_params, resolved_federation

    params = _load()
    for name, section in params.methods.items():
        resolved_federation(name, method_params(name, section), params.federation)
    yield Line(check, True, f"{plural(len(params.methods), 'valid section')} of params.yaml")


def _data(check: str) -> Iterator[Line]:
    from fedmvp.catalog.spec import load_spec

    for name in _load().data.datasets:
        yield _dataset(check, load_spec(name))


def _dataset(check: str, spec: DatasetSpec) -> Line:
    from fedmvp.catalog.sources import EmbeddedSource
    from fedmvp.cli.datasets import data_state
    from fedmvp.data.sources import verify_shipped

    state = data_state(spec)
    first = spec.sources[0] if spec.sources else None
    if isinstance(first, EmbeddedSource):
        verify_shipped(spec)
        return Line(check, True, f"{spec.name}: archive verified, {state}")
    if state == "to fetch" and first is None:
        return Line(
            check,
            False,
            f"{spec.name}: not on this machine, and no source to fetch",
            f"put it where `fedmvp datasets verify {spec.name}` looks for it",
        )
    return Line(check, True, f"{spec.name}: {state}")


def _attributes(check: str) -> Iterator[Line]:
    from fedmvp.attributes.generate import DatasetClasses, asks_of, collect_attributes, unanswered
    from fedmvp.attributes.store import AnswerStore
    from fedmvp.catalog.spec import load_spec

    params = _load()
    for name in params.data.datasets:
        spec = load_spec(name)
        asked = DatasetClasses(spec.name, spec.title, spec.class_names)
        missing = unanswered(
            asks_of(asked, params.attributes), AnswerStore.of(name), params.attributes
        )
        if missing:  # a live provider: the stage will ask it, this check never does
            yield Line(check, True, f"{name}: {plural(len(missing), 'class')} still to be asked")
            continue
        lists = collect_attributes(asked, params.attributes).classes
        yield Line(check, True, f"{name}: attributes of {plural(len(lists), 'class')}")


def _backbone(check: str) -> Iterator[Line]:
    from importlib.resources import files

    from fedmvp.clip.spec import BackboneSpec
    from fedmvp.files import read_json, sha256_file
    from fedmvp.paths import BACKBONE

    params = _load().backbone
    folder = BACKBONE
    if (folder / "spec.json").is_file():
        spec = BackboneSpec.model_validate(read_json(folder / "spec.json"))
        whole = sha256_file(folder / "weights.safetensors") == spec.tower_sha256
        yield Line(
            check,
            whole,
            f"{spec.name} in {folder}, {'verified' if whole else 'damaged'}",
            "run `dvc repro --force backbone`",
        )
    if params.weights is not None:
        yield Line(
            check,
            Path(params.weights).is_file(),
            f"{params.name} from {params.weights}",
            "set backbone.weights in params.yaml",
        )
    elif params.name == "pictoclip":
        path = files("fedmvp.clip").joinpath("weights", "pictoclip", "model.safetensors")
        shipped = path.is_file()
        yield Line(
            check,
            shipped,
            f"pictoclip, {'shipped' if shipped else 'weights are missing'}",
            "restore it with `git checkout -- fedmvp/clip/weights`",
        )
    else:
        tag = params.pretrained
        yield Line(
            check,
            tag is not None,
            f"{params.name}, weights {tag or 'not named'}",
            "set backbone.pretrained or backbone.weights in params.yaml",
        )


def _disk(check: str) -> Iterator[Line]:
    free = shutil.disk_usage(Path()).free / _GIB
    hint = f"free at least {_LEAST_FREE_GIB} GiB, or set FEDMVP_DATA and FEDMVP_CACHE"
    yield Line(check, free >= _LEAST_FREE_GIB, f"{free:.1f} GiB free", hint)


def _device(check: str) -> Iterator[Line]:
    from fedmvp.devices import prepare_device

    device = prepare_device()
    yield Line(check, True, f"{device} (FEDMVP_DEVICE chooses another)")


def _load() -> Params:
    from fedmvp.config import load_params

    return load_params()


CHECKS: dict[str, Check] = {
    "python": _python,
    "packages": _packages,
    "programs": _programs,
    "params": _params,
    "methods": _methods,
    "data": _data,
    "attributes": _attributes,
    "backbone": _backbone,
    "disk": _disk,
    "device": _device,
}
"""Checks in the order they are shown."""
