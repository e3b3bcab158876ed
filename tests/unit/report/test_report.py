from __future__ import annotations

import csv
import json
import math
import statistics
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fedmvp.errors import DataError
from fedmvp.report import DataRow, Subject, build
from tests.unit.report.synthetic import BASELINES, World, draw_image

EMOJI = Subject("default", "FedMVP on emoji", "emoji", "pictoclip")
PAPER = Subject("paper", "FedMVP", "paper", "ViT-B-16-quickgelu", "openai")
SMALL = World(settings=("base_to_new", "cross_dataset", "msst"), rounds=4,
              datasets={"animals": 40, "food": 30})  # fmt: skip
VOID = {"meta", "link", "br"}


def report(root: Path, world: World = SMALL, subject: Subject = EMOJI) -> Path:
    results, partitions = world.write(root)
    build(results, partitions, root / "report", subject, settings=world.settings,
          methods=world.methods, seeds=world.seeds, load_image=draw_image)  # fmt: skip
    return root / "report"


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def page(built: Path) -> str:
    return (built / "index.html").read_text()


class Checker(HTMLParser):
    """Collects what a browser would silently repair."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: Counter[str] = Counter()
        self.links: set[str] = set()
        self.references: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if "id" in values:
            self.ids[values["id"] or ""] += 1
        for name in ("href", "src", "srcset", "action", "data"):
            if name in values:
                self.references.append(values[name] or "")
        if tag == "th" and "scope" not in values:
            self.problems.append(f"<th> without scope at {self.getpos()}")
        if tag == "svg" and "aria-hidden" not in values and not values.get("aria-label"):
            self.problems.append(f"<svg> without a name at {self.getpos()}")
        if tag in ("script", "iframe", "object", "embed", "img"):
            self.problems.append(f"<{tag}> at {self.getpos()}")


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.problems == []
    assert checker.open == []
    return checker


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
        values = [json.loads((folder / f"seed{seed}" / "metrics.json").read_text())[row["metric"]]
                  for seed in SMALL.seeds]  # fmt: skip
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
        "base_to_new", "fedmvp", "1", "0")  # fmt: skip
    path = built.parent / "results/base_to_new/fedmvp/seed1/rounds.csv"
    with path.open(newline="") as file:
        losses = [float(r["loss"]) for r in csv.DictReader(file) if r["round"] == "0"]
    assert float(row["loss"]) == pytest.approx(math.fsum(losses) / len(losses), abs=1e-6)


def test_headline_says_what_the_numbers_say(tmp_path: Path) -> None:
    for gain, word in ((0.05, "points above"), (-0.05, "points below")):
        world = World(
            settings=("base_to_new", "msst"),
            seeds=(1, 2),
            rounds=2,
            gain=gain,
            datasets={"animals": 40, "food": 30},
        )
        text = (report(tmp_path / word[:9], world) / "index.html").read_text()
        headline = text.split('<p class="headline">')[1].split("</p>")[0]
        assert word in headline
        count = 2 if gain > 0 else 0
        assert f"above the best zero-shot method in {count} of 2 settings" in headline


def test_many_methods_name_the_best_and_stay_legible(tmp_path: Path) -> None:
    world = World(settings=("base_to_new",), trained=(*BASELINES, "fedmvp"), rounds=2,
                  datasets={"animals": 40}, seeds=(1, 2))  # fmt: skip
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
    assert "± —" in text
    assert "1 seed (7)" in text
    alone = World(settings=("base_to_new",), trained=(), zero_shot=("zero_shot",))
    text = (report(tmp_path / "alone", alone) / "index.html").read_text()
    check(text)
    assert "Communication" not in text
    assert table(tmp_path / "alone" / "report", "communication.csv") == []


def test_what_was_not_run_is_named(tmp_path: Path) -> None:
    results, partitions = SMALL.write(tmp_path)
    (results / "msst" / "fedmvp").rename(tmp_path / "elsewhere")
    build(results, partitions, tmp_path / "report", EMOJI, settings=(*SMALL.settings, "ssmt"),
          methods=SMALL.methods, seeds=SMALL.seeds)  # fmt: skip
    text = (tmp_path / "report" / "index.html").read_text()
    check(text)
    assert "No results for: msst/fedmvp/seed1" in text
    assert "ssmt/zero_shot/seed1" in text
    assert '<td class="num none">—</td>' in text


def test_results_of_methods_no_longer_asked_for_stay_out(tmp_path: Path) -> None:
    results, partitions = World(settings=("base_to_new",), rounds=2).write(tmp_path)
    build(results, partitions, tmp_path / "report", EMOJI, settings=("base_to_new",),
          methods=("zero_shot", "fedmvp"), seeds=(2,))  # fmt: skip
    rows = table(tmp_path / "report", "summary.csv")
    assert {row["method"] for row in rows} == {"zero_shot", "fedmvp"}
    assert {row["seeds"] for row in rows} == {"1"}


def test_all_there_is_when_nothing_is_chosen(tmp_path: Path) -> None:
    results, partitions = World(settings=("msst",), rounds=2, seeds=(2, 10)).write(tmp_path)
    build(results, partitions, tmp_path / "report", EMOJI)
    assert "2 seeds (2, 10)" in (tmp_path / "report" / "index.html").read_text()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>\"&"
    world = World(settings=("base_to_new",), class_name=evil, attributes=(evil,), seeds=(1,),
                  rounds=2, datasets={"animals": 20}, failures=[
                      {"fold": evil, "client": evil, "round_index": 0, "error": evil,
                       "trace": ""}])  # fmt: skip
    results, partitions = world.write(tmp_path)
    subject = Subject(evil, evil, "emoji", evil, setting_titles={"base_to_new": evil})
    build(results, partitions, tmp_path / "report", subject, load_image=draw_image)
    text = (tmp_path / "report" / "index.html").read_text()
    checker = check(text)
    assert "<script" not in text
    assert evil in "".join(checker.text)


def test_failed_updates_are_listed(tmp_path: Path, page: str) -> None:
    assert "Failed client updates" not in page
    failure = {"fold": "main", "client": "animals-01", "round_index": 2,
               "error": "ClientFailure: loss is not finite", "trace": "training.py:9 in train > client.py:3 in step"}  # fmt: skip
    world = World(settings=("base_to_new",), seeds=(1,), rounds=4, failures=[failure])
    text = (report(tmp_path, world) / "index.html").read_text()
    assert "Failed client updates" in text
    assert '<td class="num">3</td><td>animals-01</td><td>ClientFailure' in text
    assert "<code>training.py:9 in train</code><br><code>client.py:3 in step</code>" in text


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


def test_an_image_of_unknown_format_is_refused(tmp_path: Path) -> None:
    results, partitions = World(settings=("base_to_new",), rounds=2).write(tmp_path)
    with pytest.raises(DataError, match="neither PNG nor JPEG"):
        build(results, partitions, tmp_path / "report", EMOJI, load_image=lambda *_: b"GIF89a")
    assert not (tmp_path / "report").exists()


RUN = "results/base_to_new/fedmvp/seed1"


@pytest.mark.parametrize(
    ("path", "content", "complaint"),
    [
        (f"{RUN}/metrics.json", "{", "not valid JSON"),
        (f"{RUN}/metrics.json", "[]", "not a flat mapping"),
        (f"{RUN}/metrics.json", '{"hm": 41.2}', "no fraction"),
        (f"{RUN}/metrics.json", '{"hm": true}', "no fraction"),
        (f"{RUN}/metrics.json", '{"hm": 0.4}', "'local' is missing"),
        (f"{RUN}/metrics.json", '{"hm": 0, "local": 0, "base": 0, "new": 0}', "are not those of"),
        (f"{RUN}/targets.csv", None, "file is missing"),
        (f"{RUN}/targets.csv", "", "no rows"),
        (f"{RUN}/targets.csv", "fold,group\nmain,local\n", "'name' is missing"),
        (f"{RUN}/rounds.csv", None, "file is missing"),
        (f"{RUN}/rounds.csv", "fold,round\nmain,first\n", "no whole number"),
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
    assert "mend: " in message
    assert "\n" not in message
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
    build(results, partitions, tmp_path / "report", EMOJI)
    text = (tmp_path / "report/index.html").read_text()
    assert '<td>base animals</td><td>animals</td><td class="num">1.00</td><td class="num">5.00' in text


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


def test_the_split_of_every_dataset_is_named(tmp_path: Path) -> None:
    """Numbers on a split we drew are not those of published tables (datasets.md §2)."""
    splits = {"train": 2820, "val": 1128, "test": 1692}
    rows = (
        DataRow("dtd", "Textures", 47, 1, splits, "generated", "drawn: 50% train, seed 1", True),
        DataRow("food", "Food", 30, 8, splits, "file", "split file x.json", False),
    )
    folder = report(tmp_path, subject=replace(EMOJI, data=rows))
    page = (folder / "index.html").read_text()
    assert "generated: drawn: 50% train, seed 1" in page
    assert "Textures (a part of it)" in page and "Food (a part" not in page
    assert [(row["dataset"], row["split"], row["test"]) for row in table(folder, "datasets.csv")] \
        == [("dtd", "generated", "1692"), ("food", "file", "1692")]  # fmt: skip
