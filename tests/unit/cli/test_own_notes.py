"""What a user is told of an image folder: what is left out, and what will hurt."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from fedmvp.cli.image_notes import notes_on
from fedmvp.cli.image_tree import survey
from fedmvp.errors import DataError
from tests.unit.cli.test_own_data import fill


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    folder = fill(tmp_path / "birds")
    one = folder / "wren/0.png"
    copy(one, folder / "loose.png")
    copy(one, folder / "robin/more/a.png")
    copy(one, folder / "robin/more/b.png")
    for name in ("wren/a.svg", "wren/b.CR2", "wren/notes.txt", "wren/._0.png", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    (folder / "empty").mkdir()
    (folder / "__MACOSX/wren").mkdir(parents=True)
    (folder / ".git/hidden").mkdir(parents=True)
    tree = survey(folder)
    assert tree.left_out == [
        "1 image lies directly in birds; sort them into class folders",
        "2 images lie deeper than the class folder 'robin', e.g. more/a.png; move them up into it",
        "formats that are not read: 1 .cr2, 1 .svg; save them as JPEG or PNG",
        "folder 'empty' contains no image, so it is not a class",
    ]
    assert tree.images == 16 and "empty" not in tree.classes


def test_loose_images_of_a_domain_do_not_change_what_it_is(tmp_path: Path) -> None:
    folder = fill(tmp_path, "ink", "oil")
    copy(folder / "ink/wren/0.png", folder / "ink/cover.png")
    tree = survey(folder)
    assert tree.kind == "domains"
    assert tree.left_out == ["1 image lies directly in ink; sort them into class folders"]


def test_heic_images_are_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wren", "robin"):
        for number in range(3):
            path = tmp_path / name / f"IMG_{number}.HEIC"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
    monkeypatch.setattr("fedmvp.data.formats.find_spec", lambda name: None)
    tree = survey(tmp_path)
    assert tree.images == 6
    assert tree.left_out == ["6 HEIC image(s) need the plug-in: `pip install pillow-heif`"]


def test_images_too_deep_are_found(tmp_path: Path) -> None:
    fill(tmp_path / "a/b/c")
    with pytest.raises(DataError, match=r"fewer than two classes.*did you mean --images .*a/b/c\?"):
        survey(tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("tiger shark", "tiger_shark"),
        ("zebra", "Zebra"),
        ("café", unicodedata.normalize("NFD", "café")),
    ],
)
def test_names_a_model_reads_alike_are_refused(tmp_path: Path, first: str, second: str) -> None:
    folder = fill(tmp_path / "birds", classes=(first, second, "wren"))
    with pytest.raises(DataError, match="are the same name to a model"):
        survey(folder)


def test_spellings_of_letters_are_one_class_over_domains(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "café")
    fill(tmp_path, "ink", classes=("café", "wren"))
    fill(tmp_path, "oil", classes=(apart, "wren"))
    tree = survey(tmp_path)
    assert tree.classes == {"café": "café", "wren": "wren"}
    assert len(tree.files["café"]) == 8


def test_notes(tmp_path: Path) -> None:
    folder = fill(tmp_path, "train", "test", classes=("wasp", "wasps", "wren"))
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes() + str(path).encode())  # all different
    copy(folder / "train/wren/0.png", folder / "test/wren/9.png")
    copy(folder / "train/wasp/0.png", folder / "train/wren/9.png")
    (folder / "train/wasps/3.png").unlink()
    assert notes_on(survey(folder), folder, 4) == [
        "1 class(es) have fewer than the 4 training images of partition.shots: wasps 3",
        "classes with nearly the same name: wasp, wasps; are they the same class?",
        "1 image(s) are in two classes, e.g. train/wasp/0.png and train/wren/9.png",
        "1 image(s) are in two parts of the split, e.g. test/wren/9.png and train/wren/0.png",
    ]
