"""Sheets of images on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from fedmvp.catalog.cameras import Camera
from fedmvp.cli import show
from fedmvp.data import contact_sheet
from tests.unit.cli.conftest import Run

CAMERAS: dict[str, Any] = {"ink": {"exposure": 0.5, "cast": [1, 0.9, 0.8], "noise": 0.05}}


@pytest.fixture
def own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of two domains, of which one has a camera; returns its catalog entry."""
    entry = {
        "name": "own",
        "title": "Own",
        "licence": "none",
        "layout": {"reader": "domain_class_folders"},
        "template": "a {}.",
        "sentence": {"prefix": "a"},
        "split": {"rule": "fractions", "train": 0.5},
        "domains": ["ink", "watercolour"],
        "capture": CAMERAS,
        "classes": ["ant", "bee"],
    }
    path = Path("catalog/own.yaml")
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(entry), encoding="utf-8")
    monkeypatch.setenv("FEDMVP_CATALOG", "catalog")
    for domain in ("ink", "watercolour"):
        for name in ("ant", "bee"):
            for number in range(2):
                file = Path(f".fedmvp/data/own/{domain}/{name}/{number}.png")
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (200, 100 * number, 7)).save(file)
    return path


def edit(file: Path, **entries: object) -> None:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**document, **entries}), encoding="utf-8")


def severity(value: float) -> None:
    params = Path("params.yaml")
    data = yaml.safe_load(params.read_text(encoding="utf-8"))["data"]
    edit(params, data={**data, "capture": value})


def test_a_line_per_domain_and_a_sheet(run: Run, own: Path) -> None:
    severity(0)
    lines = run("datasets", "show", "own", "--out", "made/sheet.png").stdout.splitlines()
    assert lines == [
        "ink          exposure 0.50 ± 15%, cast 1.00 0.90 0.80, noise 5.0% ± 20%, blur 0.00 px",
        "watercolour  images as they are",
        "severity 1; written: made/sheet.png",
    ]
    with Image.open("made/sheet.png") as sheet:
        assert sheet.format == "PNG" and sheet.mode == "RGB"
        # Two classes, each of them before and after.
        assert sheet.height > 4 * 64
    assert [path.name for path in Path("made").iterdir()] == ["sheet.png"]


def test_params_choose_the_severity_and_the_option_wins(run: Run, own: Path) -> None:
    severity(0.7)
    first = run("datasets", "show", "own", "--out", "a.png").stdout
    assert "exposure 0.65 ± 10%" in first and "severity 0.7; " in first
    second = run("datasets", "show", "own", "--out", "b.png", "--severity", "1.5").stdout
    assert "exposure 0.25 ± 22%" in second and "severity 1.5; " in second
    run("datasets", "show", "own", "--out", "c.png")
    a, b, c = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert a == c != b


def test_no_severity_and_no_cameras_show_images_as_they_are(run: Run, own: Path) -> None:
    none = run("datasets", "show", "own", "--out", "none.png", "--severity", "0").stdout
    edit(own, capture={})
    plain = run("datasets", "show", "own", "--out", "plain.png").stdout
    assert (
        none.splitlines()[:2]
        == plain.splitlines()[:2]
        == ["ink          images as they are", "watercolour  images as they are"]
    )
    assert plain.splitlines()[2] == "written: plain.png"
    assert Path("none.png").read_bytes() == Path("plain.png").read_bytes()
    error = run("datasets", "show", "own", "--out", "x.png", "--severity", "0", code=2).stderr
    assert "declares no cameras" in error


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "JPEG"), ("webp", "WEBP"), ("PNG", "PNG")])
def test_kinds_of_file_sizes_and_classes(run: Run, own: Path, suffix: str, kind: str) -> None:
    out = Path(f"sheet.{suffix}")
    out.write_bytes(b"old")
    run("datasets", "show", "own", "--out", str(out), "--classes", "1", "--size", "16")
    with Image.open(out) as sheet:
        assert sheet.format == kind
        assert sheet.height < 100


def test_a_sheet_beyond_the_format(run: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WebP has at most 16,383 pixels a side; the old file stays."""
    long = Image.new("RGB", (1, 1 << 14))
    monkeypatch.setattr(contact_sheet, "contact_sheet", lambda *_, **__: long)
    Path("sheet.webp").write_bytes(b"old")
    error = run("datasets", "show", "own", "--out", "sheet.webp", code=2).stderr
    assert "--out: sheet of 1 x 16384 pixels cannot be written as WEBP" in error
    assert "write a .png" in error
    assert Path("sheet.webp").read_bytes() == b"old"


def test_a_severity_of_params_that_is_too_much(run: Run, own: Path) -> None:
    severity(2)
    error = run("datasets", "show", "own", "--out", "sheet.png", code=2).stderr
    assert "params.yaml: data.capture: too severe for the camera of 'ink'" in error
    assert not Path("sheet.png").exists()


def test_a_verified_dataset_agrees_with_the_stage_that_has_cameras(run: Run, own: Path) -> None:
    from pipeline.download import main

    severity(0.7)
    main(["own"])
    assert "ok; report" in run("datasets", "verify", "own").stdout
    severity(0.6)
    assert "differs from the images" in run("datasets", "verify", "own", code=2).stdout


def test_a_camera_in_words() -> None:
    assert show.camera_words(None) == "images as they are"
    assert show.camera_words(Camera(blur=1.25, exposure_spread=0, noise_spread=0)) == (
        "exposure 1.00 ± 0%, cast 1.00 1.00 1.00, noise 0.0% ± 0%, blur 1.25 px"
    )
