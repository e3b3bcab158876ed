"""A profile of miniatures, whole or with some of its settings, reproduced in a copy."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fedmvp.config import Params, load_params
from pipeline import partition
from tests.miniatures import build_miniatures
from tests.paths import ROOT
from tests.pipeline.tiny import copy_repository, forked_repro


def reproduce(root: Path, profile: str, settings: Sequence[str] | None = None) -> Params:
    """Fill `root` with a copy and the miniatures, run `dvc repro`, and return the params of it.

    Parameters
    ----------
    settings : sequence of str, optional
        The settings to run; all of the profile by default.
    """
    source = ROOT / f"fedmvp/profiles/{profile}.yaml"
    copy_repository(root)
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    build_miniatures(root, content["data"]["datasets"])
    if settings is None:
        (root / "params.yaml").write_bytes(source.read_bytes())
    else:
        assert set(settings) < set(content["run"]["settings"])
        content["run"]["settings"] = list(settings)
        text = yaml.safe_dump(content, sort_keys=False)
        (root / "params.yaml").write_text(text, encoding="utf-8")
    done = forked_repro(root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return load_params(root / "params.yaml")


def all_partitions(root: Path, profile: str, folder: Path) -> dict[str, Any]:
    """Return the partitions of all settings of a profile, made in `folder` of the manifests."""
    shutil.copytree(root / "data/manifests", folder / "data/manifests")
    source = ROOT / f"fedmvp/profiles/{profile}.yaml"
    shutil.copyfile(source, folder / "params.yaml")
    with contextlib.chdir(folder):
        for setting in load_params(folder / "params.yaml").run.settings:
            partition.main([setting])
    made = (folder / "data/partitions").glob("*.json")
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in made}
