from __future__ import annotations

import csv
import json
import math
import re
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from fedmvp.files import read_json, write_json
from fedmvp.report import DataRow, Subject, build
from fedmvp.report.format import points
from fedmvp.report.title import heading
from tests.unit.report.html_checker import check
from tests.unit.report.making import EMOJI, SMALL, report, table
from tests.unit.report.synthetic import BASELINES, World

PAPER = Subject("paper", "FedMVP", "paper", "ViT-B-16-quickgelu", "openai")


def test_page_is_valid_accessible_and_self_contained(page: str) -> None:
    checker = check(page)
    assert [name for name, count in checker.ids.items() if count > 1] == []
    for reference in checker.references:
        if reference.startswith("#"):
            assert reference[1:] in checker.ids
        else:
            assert reference.startswith("data:")
    assert "url(" not in page
    assert "@import" not in page
    assert "http" not in page


def test_same_input_same_bytes_anywhere(tmp_path: Path, built: Path) -> None:
    again = report(tmp_path / "some" / "other" / "place")
    files = sorted(p.relative_to(built) for p in built.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for file in files:
        content = (built / file).read_bytes()
        assert content == (again / file).read_bytes(), file
        assert str(built.parent).encode() not in content


def test_numbers_are_means_and_deviations_over_seeds(built: Path, page: str) -> None:
    rows = table(built, "summary.csv") + [
        {**row, "metric": f"{row['metric']}/{row['part']}".removeprefix("accuracy/")}
        for row in table(built, "per_dataset.csv")
    ]
    results = built.parent / "results"
    for row in rows:
        folder = results / row["setting"] / row["method"]
        values = [
            json.loads((folder / f"seed{seed}" / "metrics.json").read_text())[row["metric"]]
            for seed in SMALL.seeds
        ]
        assert float(row["mean"]) == pytest.approx(statistics.fmean(values), abs=1e-6)
        assert float(row["std"]) == pytest.approx(statistics.stdev(values), abs=1e-6)
        assert row["seeds"] == "3"
        assert f"{100 * statistics.fmean(values):.2f}" in page
    assert len(table(built, "summary.csv")) == 3 * (4 + 1 + 1)
    metrics = json.loads((built / "metrics.json").read_text())
    for row in table(built, "summary.csv"):
        value = metrics[row["setting"]][row["method"]][row["metric"]]
        assert value == pytest.approx(float(row["mean"]), abs=1e-6)


def test_communication_adds_up(built: Path) -> None:
    for row in table(built, "communication.csv"):
        totals = []
        for seed in SMALL.seeds:
            path = built.parent / "results" / row["setting"] / row["method"] / f"seed{seed}"
            with (path / "rounds.csv").open(newline="") as file:
                rounds = list(csv.DictReader(file))
            folds = {r["fold"] for r in rounds}
            totals.append(sum(int(r["bytes_up"]) for r in rounds) / len(folds))
        assert float(row["up_total"]) == pytest.approx(statistics.fmean(totals), abs=0.5)
        expected = float(row["up_total"]) / SMALL.rounds
        assert float(row["up_per_round"]) == pytest.approx(expected, abs=0.6)
    assert {row["method"] for row in table(built, "communication.csv")} == {"fedmvp"}


def test_curves_for_dvc_are_means_over_clients(built: Path) -> None:
    with (built / "plots" / "rounds.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["setting"], row["method"], row["seed"], row["round"]) == (
        "base_to_new",
        "fedmvp",
        "1",
        "0",
    )
    path = built.parent / "results/base_to_new/fedmvp/seed1/rounds.csv"
    with path.open(newline="") as file:
        first = [r for r in csv.DictReader(file) if r["round"] == "0"]
    losses = [float(r["loss"]) for r in first]
    assert float(row["loss"]) == pytest.approx(math.fsum(losses) / len(losses), abs=1e-6)
    lowest = min(float(r["accuracy"]) for r in first)
    assert float(row["accuracy_lowest"]) == pytest.approx(lowest, abs=1e-6)


def test_headline_says_what_the_numbers_say(tmp_path: Path) -> None:
    cases = (
        (0.08, "raises", "2, and significantly so in 2"),
        (-0.08, "lowers", "none, and significantly behind in 2"),
    )
    for gain, verb, count in cases:
        world = World(
            settings=("base_to_new", "msst"),
            seeds=(1, 2),
            rounds=2,
            gain=gain,
            datasets={"animals": 40, "food": 30},
        )
        text = (report(tmp_path / verb, world) / "index.html").read_text()
        headline = text.split('<p class="headline">')[1].split("</p>")[0]
        assert f"FedMVP {verb} base-to-new HM from" in headline
        assert f"over 2 settings it is ahead in {count}." in headline
        first = table(tmp_path / verb / "report", "intervals.csv")[3]
        assert (first["setting"], first["metric"]) == ("base_to_new", "hm")
        low, high = (points(float(first[end]), 1) for end in ("low", "high"))
        assert f"95\N{NO-BREAK SPACE}% interval {low} to {high};" in headline
        tiles = text.split('class="tiles"')[1].split("</section>")[0]
        assert tiles.count("95\N{NO-BREAK SPACE}% interval") == 2
        assert f"{low} to {high} ({first['kind']})" in tiles


def test_many_methods_name_the_best_and_stay_legible(tmp_path: Path) -> None:
    world = World(
        settings=("base_to_new",),
        trained=(*BASELINES, "fedmvp"),
        rounds=2,
        datasets={"animals": 40},
        seeds=(1, 2),
    )
    folder = report(tmp_path, world)
    text = (folder / "index.html").read_text()
    check(text)
    ranking = table(folder, "ranking.csv")
    assert [row["rank"] for row in ranking] == [f"{n}.0" for n in range(1, 13)]
    assert ranking[0]["method"] == "promptfl"
    headline = text.split('<p class="headline">')[1].split("</p>")[0]
    assert "of 12 methods; PromptFL is best" in headline
    assert "Bytes per round, up and down (logarithmic)" in text


def test_one_seed_and_zero_shot_only(tmp_path: Path) -> None:
    one = report(tmp_path / "one", World(settings=("cross_dataset",), seeds=(7,), rounds=2))
    assert {row["std"] for row in table(one, "summary.csv")} == {""}
    text = (one / "index.html").read_text()
    check(text)
    assert "±" not in text
    assert "standard deviation over seeds" not in text
    assert "1 seed (7)" in text
    alone = World(settings=("base_to_new",), trained=(), zero_shot=("zero_shot",))
    text = (report(tmp_path / "alone", alone) / "index.html").read_text()
    check(text)
    assert "Communication" not in text
    assert table(tmp_path / "alone" / "report", "communication.csv") == []


def test_all_there_is_when_nothing_is_chosen(tmp_path: Path) -> None:
    results, partitions = World(settings=("msst",), rounds=2, seeds=(2, 10)).write(tmp_path)
    build(results, partitions, tmp_path / "report", EMOJI)
    assert "2 seeds (2, 10)" in (tmp_path / "report" / "index.html").read_text()


def test_published_numbers_are_shown_apart_and_only_where_they_belong(
    tmp_path: Path, built: Path, page: str
) -> None:
    paper = report(tmp_path, SMALL, PAPER)
    text = (paper / "index.html").read_text()
    check(text)
    assert table(built, "published.csv") == []
    assert "78.27" not in page
    published = [row for row in table(paper, "published.csv") if row["setting"] == "base_to_new"]
    assert {"0.782700"} <= {row["value"] for row in published}
    assert '<td class="num published">78.27</td>' in text
    assert 'published"><strong>' not in text
    for name in ("summary.csv", "ranking.csv", "per_dataset.csv"):
        assert (paper / "tables" / name).read_bytes() == (built / "tables" / name).read_bytes()


def test_attention_embeds_each_image_once(built: Path, page: str) -> None:
    # Four images, the same in every setting.
    assert page.count("data:image/png;base64,") == 4
    assert page.count('<use href="#image-') == 3 * 4
    assert page.count('<use class="grey" href="#image-') == 3 * 4 * len(SMALL.attributes)
    results = built.parent / "results"
    build(results, built.parent / "partitions", built.parent / "without", EMOJI)
    text = (built.parent / "without" / "index.html").read_text()
    check(text)
    assert "Attention of patches" not in text


def test_the_split_of_every_dataset_is_named(tmp_path: Path) -> None:
    """Numbers on a split we drew are not those of published tables (docs/datasets.md#splits)."""
    splits = {"train": 2820, "val": 1128, "test": 1692}
    rows = (
        DataRow("dtd", "Textures", 47, 1, splits, "generated", "drawn: 50% train, seed 1", True),
        DataRow("food", "Food", 30, 8, splits, "file", "split file x.json", False),
    )
    folder = report(tmp_path, subject=replace(EMOJI, data=rows))
    page = (folder / "index.html").read_text()
    assert "generated: drawn: 50% train, seed 1" in page
    assert "Textures (a part of it)" in page and "Food (a part" not in page
    assert [
        (row["dataset"], row["split"], row["test"]) for row in table(folder, "datasets.csv")
    ] == [("dtd", "generated", "1692"), ("food", "file", "1692")]


def test_parameters_are_spelt_as_in_params_yaml(tmp_path: Path) -> None:
    """Not as Python prints them: None, True."""
    world = World(settings=("cross_dataset",), seeds=(7,), rounds=2)
    results, partitions = world.write(tmp_path / "world")
    for path in results.rglob("run.json"):
        record = read_json(path)
        record["params"]["some"] = {"unset": None, "on": True, "off": [False, None, 3]}
        write_json(path, record)
    build(results, partitions, tmp_path / "out", EMOJI)
    text = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    for key, value in (("some.unset", "null"), ("some.on", "true"), ("some.off", "false, null, 3")):
        assert re.search(rf"{key}</\w+>.*?>{value}<", text, flags=re.DOTALL), key
    assert not re.search(r">[^<]*\b(None|True|False)\b[^<]*<", text)


def test_what_speaks_against_the_numbers_is_said_first(tmp_path: Path, page: str) -> None:
    subject = replace(EMOJI, title=heading(["birds"], cameras=False), warnings=("Photos <only>.",))
    text = (report(tmp_path, subject=subject) / "index.html").read_text(encoding="utf-8")
    assert "<h1>FedMVP on birds</h1>" in text
    assert text.index("Photos &lt;only&gt;.") < text.index('class="tiles"')
    assert "Beware" not in page


@pytest.mark.parametrize(
    ("titles", "cameras", "expected"),
    [
        (["birds"], False, "FedMVP on birds"),
        (["birds", "cars", "pets"], False, "FedMVP on birds, cars and pets"),
        (["a", "b", "c", "d"], False, "FedMVP on 4 datasets"),
        (["a", "b"], True, "FedMVP where each site has its own camera"),
    ],
)
def test_a_heading_nobody_chose_says_what_the_data_are(
    titles: list[str], cameras: bool, expected: str
) -> None:
    assert heading(titles, cameras=cameras) == expected
