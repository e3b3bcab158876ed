"""Reports of what is missing, broken, unfinished or odd."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fedmvp.errors import DataError
from fedmvp.report import Subject, build
from tests.unit.report.html_checker import check
from tests.unit.report.making import EMOJI, SMALL, report, table
from tests.unit.report.synthetic import World, draw_image

RUN = "results/base_to_new/fedmvp/seed1"


def test_what_was_not_run_is_named(tmp_path: Path) -> None:
    results, partitions = SMALL.write(tmp_path)
    (results / "msst" / "fedmvp").rename(tmp_path / "elsewhere")
    build(
        results,
        partitions,
        tmp_path / "report",
        EMOJI,
        settings=(*SMALL.settings, "ssmt"),
        methods=SMALL.methods,
        seeds=SMALL.seeds,
    )
    text = (tmp_path / "report" / "index.html").read_text()
    check(text)
    assert "No results for: msst/fedmvp/seed1" in text
    assert "ssmt/zero_shot/seed1" in text
    assert '<td class="num none">—</td>' in text


def test_results_of_methods_no_longer_asked_for_stay_out(tmp_path: Path) -> None:
    results, partitions = World(settings=("base_to_new",), rounds=2).write(tmp_path)
    build(
        results,
        partitions,
        tmp_path / "report",
        EMOJI,
        settings=("base_to_new",),
        methods=("zero_shot", "fedmvp"),
        seeds=(2,),
    )
    rows = table(tmp_path / "report", "summary.csv")
    assert {row["method"] for row in rows} == {"zero_shot", "fedmvp"}
    assert {row["seeds"] for row in rows} == {"1"}


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>\"&"
    world = World(
        settings=("base_to_new",),
        class_name=evil,
        attributes=(evil,),
        seeds=(1,),
        rounds=2,
        datasets={"animals": 20},
        failures=[{"fold": evil, "client": evil, "round_index": 0, "error": evil, "trace": ""}],
    )
    results, partitions = world.write(tmp_path)
    subject = Subject(evil, evil, "emoji", evil, setting_titles={"base_to_new": evil})
    build(results, partitions, tmp_path / "report", subject, load_image=draw_image)
    text = (tmp_path / "report" / "index.html").read_text()
    checker = check(text)
    assert "<script" not in text
    assert evil in "".join(checker.text)


def test_failed_updates_are_listed(tmp_path: Path, page: str) -> None:
    assert "Failed client updates" not in page
    failure = {
        "fold": "main",
        "client": "animals-01",
        "round_index": 2,
        "error": "ClientFailure: loss is not finite",
        "trace": "training.py:9 in train > client.py:3 in step",
    }
    world = World(settings=("base_to_new",), seeds=(1,), rounds=4, failures=[failure])
    text = (report(tmp_path, world) / "index.html").read_text()
    assert "Failed client updates" in text
    assert '<td class="num">3</td><td>animals-01</td><td>ClientFailure' in text
    assert "<code>training.py:9 in train</code><br><code>client.py:3 in step</code>" in text


def test_an_image_of_unknown_format_is_refused(tmp_path: Path) -> None:
    results, partitions = World(settings=("base_to_new",), rounds=2).write(tmp_path)
    with pytest.raises(DataError, match="neither PNG nor JPEG"):
        build(results, partitions, tmp_path / "report", EMOJI, load_image=lambda *_: b"GIF89a")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("path", "content", "complaint"),
    [
        (f"{RUN}/metrics.json", "{", "not valid JSON"),
        (f"{RUN}/metrics.json", "[]", "not a flat mapping"),
        (f"{RUN}/metrics.json", '{"hm": 41.2}', "not a fraction"),
        (f"{RUN}/metrics.json", '{"hm": true}', "not a fraction"),
        (f"{RUN}/metrics.json", '{"hm": 0.4}', "'local' is missing"),
        (f"{RUN}/metrics.json", '{"hm": 0, "local": 0, "base": 0, "new": 0}', "are not those of"),
        (f"{RUN}/targets.csv", None, "file is missing"),
        (f"{RUN}/targets.csv", "", "no rows"),
        (f"{RUN}/targets.csv", "fold,group\nmain,local\n", "'name' is missing"),
        (f"{RUN}/predictions.csv", "", "columns are not"),
        (f"{RUN}/predictions.csv", "fold,group,name,dataset,image,label,predicted\n", "a row for"),
        (f"{RUN}/rounds.csv", None, "file is missing"),
        (f"{RUN}/rounds.csv", "fold,round\nmain,first\n", "not a whole number"),
        (f"{RUN}/run.json", "{}", "not a run record"),
        (f"{RUN}/explain.json", '{"images": [{"grid": [2, 2]}]}', "malformed entry"),
        (f"{RUN}/failures.json", "[1]", "malformed entry"),
        ("partitions/base_to_new.json", None, "file is missing"),
        ("partitions/base_to_new.json", "{}", "not a partition"),
    ],
)
def test_a_missing_or_broken_piece_is_one_clear_error(
    tmp_path: Path, path: str, content: str | None, complaint: str
) -> None:
    world = World(settings=("base_to_new",), seeds=(1, 2), rounds=1, datasets={"animals": 20})
    results, partitions = world.write(tmp_path)
    (tmp_path / path).unlink()
    if content is not None:
        (tmp_path / path).write_text(content)
    with pytest.raises(DataError, match=complaint) as caught:
        build(results, partitions, tmp_path / "report", EMOJI)
    message = str(caught.value)
    assert Path(path).name in message
    assert "hint: " in message
    assert "\n" not in message
    assert not (tmp_path / "report").exists()


def test_predictions_of_other_images_are_one_clear_error(tmp_path: Path) -> None:
    world = World(settings=("base_to_new",), seeds=(1,), rounds=1, datasets={"animals": 20})
    results, partitions = world.write(tmp_path)
    path = tmp_path / RUN / "predictions.csv"
    path.write_text(path.read_text().replace("animals class 3/1,", "animals class 3/9,"))
    with pytest.raises(DataError, match="not of the images of base_to_new/zero_shot/seed1/pred"):
        build(results, partitions, tmp_path / "report", EMOJI, methods=world.methods)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("file", ["metrics.json", "run.json"])
def test_what_still_trains_or_waits_for_evaluation_is_named(tmp_path: Path, file: str) -> None:
    world = World(settings=("base_to_new",), seeds=(1, 2), rounds=1, datasets={"animals": 20})
    results, partitions = world.write(tmp_path)
    (tmp_path / RUN / file).unlink()
    build(results, partitions, tmp_path / "report", EMOJI)
    text = (tmp_path / "report/index.html").read_text()
    assert "No results for: base_to_new/fedmvp/seed1." in text


def test_targets_below_chance_are_listed(tmp_path: Path, page: str) -> None:
    assert "Below chance" not in page
    world = World(settings=("base_to_new",), seeds=(1,), rounds=1, datasets={"animals": 20})
    results, partitions = world.write(tmp_path)
    path = tmp_path / RUN / "targets.csv"
    head, *rows = path.read_text().splitlines()
    row = "main,base,animals,animals,,20,1000,0.01"
    path.write_text("\n".join([head, *rows[:1], row, *rows[2:], ""]))
    (tmp_path / RUN / "predictions.csv").unlink()  # another accuracy's
    build(results, partitions, tmp_path / "report", EMOJI)
    text = (tmp_path / "report/index.html").read_text()
    numbers = '<td class="num">1.00</td><td class="num">5.00'
    assert f"<td>base animals</td><td>animals</td>{numbers}" in text


def test_no_results_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results to report"):
        build(tmp_path / "results", tmp_path / "partitions", tmp_path / "report", EMOJI)


def test_a_diverged_loss_is_reported_not_drawn(tmp_path: Path) -> None:
    results, partitions = World(settings=("base_to_new",), rounds=2, seeds=(1,)).write(tmp_path)
    path = results / "base_to_new/fedmvp/seed1/rounds.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0]["loss"] = "nan"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    build(results, partitions, tmp_path / "report", EMOJI)
    text = (tmp_path / "report" / "index.html").read_text()
    assert "FedMVP: 1 client update without a finite loss" in text
    assert "nan" not in (tmp_path / "report/plots/rounds.csv").read_text()
