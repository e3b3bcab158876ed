"""Doctor: every fault is one line with its hint."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
import yaml

from fedmvp.cli import health
from fedmvp.cli.health_deep import DEEP_CHECKS
from tests.unit.cli.conftest import ROOT, Run


@pytest.fixture
def sound(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in order; weights that ship with the package are not this test's matter."""
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: ["pyyaml>=6", "x; extra == 'dev'"]
    )
    monkeypatch.setitem(
        health.CHECKS, "backbone", lambda check: iter([health.Line(check, True, "")])
    )
    return repository


def findings(run: Run, code: int) -> dict[str, list[tuple[bool, str, str]]]:
    found: dict[str, list[tuple[bool, str, str]]] = {}
    for line in json.loads(run("doctor", "--json", code=code).stdout):
        found.setdefault(line["check"], []).append((line["ok"], line["detail"], line["hint"]))
    return found


def test_a_sound_repository(run: Run, sound: Path) -> None:
    found = findings(run, 0)
    assert list(found) == list(health.CHECKS)
    assert all(ok and not hint for lines in found.values() for ok, _, hint in lines)
    assert len(found["data"]) == len(found["attributes"]) == 5
    assert "problem" not in run("doctor").stdout


def test_deep_looks_at_outputs_and_dvcs_cache_too(run: Run, sound: Path) -> None:
    found = [line["check"] for line in json.loads(run("doctor", "--deep", "--json", code=2).stdout)]
    assert set(found) == {*health.CHECKS, *DEEP_CHECKS}
    # Not a repository of DVC's.
    output = run("doctor", "--deep", code=2).stdout
    assert "dvc cache dir: DVC does not say where its cache is" in output


def test_faults_do_not_hide_each_other(
    run: Run, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["methods"]["fedmvp"]["ranks"] = 8
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    Path("data/emoji").unlink()
    monkeypatch.setenv("FEDMVP_DEVICE", "gpu")
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: ["no-such-package>=1", "pyyaml==0.1"]
    )
    found = findings(run, 2)
    bad = {name: lines for name, lines in found.items() if not all(ok for ok, _, _ in lines)}
    assert set(bad) == {"packages", "methods", "data", "device"}
    assert [detail.split(" is ")[0] for _, detail, _ in bad["packages"][:2]] == [
        "no-such-package",
        "pyyaml",
    ]
    assert "methods.fedmvp: ranks" in bad["methods"][0][1]
    assert "git checkout" in bad["data"][0][2]
    assert all(hint for lines in bad.values() for ok, _, hint in lines if not ok)


def test_a_partition_scheme_is_checked(run: Run, sound: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["partition"]["scheme"] = {"name": "dirichlet", "alpha": 0, "clients": 4}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    ((ok, detail, _),) = findings(run, 2)["params"]
    assert not ok and "partition.scheme: alpha: " in detail


def test_without_params_the_rest_is_still_looked_at(run: Run, sound: Path) -> None:
    Path("params.yaml").unlink()
    found = findings(run, 2)
    assert found["python"][0][0]
    assert found["device"][0][0]
    assert "file is missing" in found["params"][0][1]


def test_the_backbone_check(repository: Path) -> None:
    def check() -> list[tuple[bool, str]]:
        return [(line.ok, line.detail) for line in health.CHECKS["backbone"]("backbone")]

    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for section, expected in (
        ({"name": "ViT-B-32", "weights": "absent.pt"}, (False, "ViT-B-32 from absent.pt")),
        ({"name": "ViT-B-32", "weights": None}, (False, "ViT-B-32, weights not named")),
        (
            {"name": "ViT-B-32", "weights": None, "pretrained": "openai"},
            (True, "ViT-B-32, weights openai"),
        ),
    ):
        params["backbone"] |= section
        Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        assert check() == [expected]


def test_a_damaged_backbone_is_found(tower: object) -> None:
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (line, *_) = health.CHECKS["backbone"]("backbone")
    assert line.ok
    path = Path("data/backbone/weights.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    (line, *_) = health.CHECKS["backbone"]("backbone")
    assert not line.ok
    assert "damaged" in line.detail
