"""What the report shows of images of many labels, read from the result files."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import average_precision_score, precision_recall_curve

from fedmvp.errors import DataError
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.report import Subject
from fedmvp.report.class_scores import class_scores
from fedmvp.report.label_answers import label_answers
from fedmvp.report.label_pairs import pair_grid
from fedmvp.report.label_skew import conditional_difference, marginal_divergence, pair_counts
from fedmvp.report.study import Study, load_study
from fedmvp.results.scores import read_scores, write_scores
from tests.multi_toys import SEEN, multi_manifest
from tests.unit.partition.test_multilabel import build
from tests.unit.report.html_checker import check
from tests.unit.report.many_labels import METHODS, SUBJECT, THRESHOLD, report, write

MANIFEST = multi_manifest()
PARTITION = build()
FIRST = Path("results/scenes/fedmvp/seed1/scores.safetensors")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    write(folder, PARTITION, MANIFEST)
    return folder


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return report(root, MANIFEST)


def study_of(root: Path) -> Study:
    return load_study(
        root / "results",
        root / "partitions",
        SUBJECT,
        settings=["scenes"],
        methods=list(METHODS),
        seeds=None,
    )


def whole(root: Path) -> tuple[np.ndarray, np.ndarray]:
    (part,) = (p for p in read_scores(root / FIRST) if p.target.group == "global")
    return part.scores, part.labels


def test_the_page_is_valid(page: str) -> None:
    check(page)


def test_prevalence_stands_beside_every_map(page: str) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    # Titles of tiles, charts and losses name it; tables have it as the column to the right.
    for title in re.findall(r"<figcaption>([^<]*mAP[^<]*)</figcaption>", page):
        assert "prevalence" in title
    assert re.search(r"FedMVP \w+ scenes mAP \(prevalence [\d.]+", text)
    for columns in re.findall(r"<thead>.*?</thead>", page, flags=re.DOTALL):
        heads = re.findall(r"<th[^>]*>(.*?)</th>", columns)
        for place, head in enumerate(heads):
            if head.endswith("mAP"):
                assert heads[place + 1].lower().endswith("prevalence")
    assert "Local prevalence" in page
    # A random order's score is no method's: nobody is best in it.
    rows = re.findall(r'<tr class="focus-row">(.*?)</tr>', page)
    assert rows and all("<strong>" not in row.split("</td>")[1] for row in rows[1:2])


def test_classes_are_scored_as_scikit_learn_scores_them(root: Path) -> None:
    scores, labels = whole(root)
    rows = class_scores(study_of(root), "scenes", root / "results")
    assert [row.class_name for row in rows] == list(SEEN)
    for k, row in enumerate(rows):
        seeds = []
        for seed in (1, 2):
            folder = root / f"results/scenes/fedmvp/seed{seed}/scores.safetensors"
            (part,) = (p for p in read_scores(folder) if p.target.group == "global")
            seeds.append(average_precision_score(part.labels[:, k], part.scores[:, k]))
        assert row.precisions["fedmvp"].mean == pytest.approx(np.mean(seeds))
        assert row.prevalence == pytest.approx(labels[:, k].mean())
        precision, recall, _ = precision_recall_curve(labels[:, k], scores[:, k])
        known = set(zip(recall.round(9), precision.round(9), strict=True))
        curve = row.curves["fedmvp"]
        drawn = list(zip(np.round(curve.recall, 9), np.round(curve.precision, 9), strict=True))
        assert set(drawn) <= known and curve.recall[-1] == 1
        assert len(curve.recall) == row.positives


def test_the_table_and_the_panels_of_classes(root: Path, page: str) -> None:
    with (root / "report/tables/classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["method"] for row in rows) == dict.fromkeys(METHODS, len(SEEN))
    best = max((r for r in rows if r["method"] == "fedmvp"), key=lambda r: float(r["mean"]))
    shown = f"AP {100 * float(best['mean']):.1f}, prevalence {100 * float(best['prevalence']):.1f}"
    assert f"<figcaption>{best['class']}<small>{shown}</small>" in page
    assert page.count("<small>AP ") == len(SEEN)


def test_a_class_no_image_shows_has_no_panel(tmp_path: Path) -> None:
    images = [
        i if i.split == "train" else replace(i, labels=tuple(k for k in i.labels if k))
        for i in MANIFEST.images
    ]
    found = replace(MANIFEST, images=tuple(images))
    write(tmp_path, build(found), found, seeds=(1,))
    rows = class_scores(study_of(tmp_path), "scenes", tmp_path / "results")
    assert SEEN[0] not in [row.class_name for row in rows] and len(rows) == len(SEEN) - 1


def test_runs_must_be_of_the_same_labels(tmp_path: Path) -> None:
    write(tmp_path, PARTITION, MANIFEST)
    parts = read_scores(tmp_path / FIRST)
    write_scores(tmp_path / FIRST, [replace(p, labels=1 - p.labels) for p in parts])
    with pytest.raises(DataError, match="not of the other runs' labels"):
        class_scores(study_of(tmp_path), "scenes", tmp_path / "results")


def test_answers_on_an_image(root: Path, page: str) -> None:
    study = study_of(root)
    run = next(r for r in study.runs if r.method == "fedmvp")
    image = run.explained[0]
    answers = label_answers(run, run.explained, root / "results")[image.image_id]
    (part,) = (p for p in read_scores(root / FIRST) if p.target.group == "global")
    row = part.target.images.index(image.image_id)
    said = part.scores[row] > np.log(THRESHOLD / (1 - THRESHOLD))
    shown = part.labels[row] == 1
    names = np.array(part.target.classes)
    by_kind = {
        kind: {a.class_name for a in answers if a.kind == kind}
        for kind in ("found", "missed", "wrong")
    }
    assert by_kind["found"] == set(names[said & shown])
    assert by_kind["missed"] == set(names[~said & shown])
    assert by_kind["wrong"] <= set(names[said & ~shown])
    assert all((a.probability > THRESHOLD) == (a.kind != "missed") for a in answers)
    assert page.count('<ul class="answers">') == len(run.explained)
    assert page.count('class="picture"') == 2 * len(run.explained)


def test_pairs_are_counted_and_compared() -> None:
    one = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [-1, 1, 0]])
    two = np.array([[1, 0, 1], [1, 0, 0]])
    counts = [pair_counts(one), pair_counts(two)]
    assert counts[0].tolist() == [[2, 1, 0], [1, 3, 0], [0, 0, 0]]
    shares = [np.diag(c) / np.trace(c) for c in counts]
    assert marginal_divergence(counts) == pytest.approx(jensenshannon(*shares, base=2) ** 2)
    # Both show class 0: P(1|0) is 1/2 and 0, P(2|0) is 0 and 1/2.
    assert conditional_difference(counts) == pytest.approx(0.5)
    assert np.isnan(marginal_divergence(counts[:1]))
    assert marginal_divergence([counts[0], counts[0]]) == 0


def test_the_pictures_of_pairs(page: str) -> None:
    clients = PARTITION.clients
    for client in clients:
        own = (*client.train, *client.validation)
        assert f"{client.id}: {len(own)} images" in page
    counts = [pair_counts(MANIFEST.label_matrix((*c.train, *c.validation), SEEN)) for c in clients]
    apart = [
        jensenshannon(np.diag(a) / np.trace(a), np.diag(b) / np.trace(b), base=2) ** 2
        for a, b in combinations(counts, 2)
    ]
    assert f"{np.mean(apart):.3f} bits" in page


def test_the_darkest_cell_is_the_most_frequent_pair() -> None:
    svg = str(pair_grid("<b>", np.array([[0, 4], [1, 0]])))
    assert "<b>" not in svg
    found = re.findall(r'stroke-opacity="([\d.]+)"[^>]*d="M([\d.]+) ([\d.]+)h', svg)
    assert [(float(o), float(x) > 100, float(y) > 100) for o, x, y in found] == [
        (0.5, False, True),
        (1.0, True, False),
    ]


def test_a_ceiling_is_said(tmp_path: Path) -> None:
    images = [
        i if i.split == "train" else replace(i, labels=tuple(k for k in i.labels if k))
        for i in MANIFEST.images
    ]
    found = replace(MANIFEST, images=tuple(images))
    write(tmp_path, build(found), found, MultiLabelParams(empty_class="zero"), seeds=(1,))
    text = report(tmp_path, found)
    of = len(SEEN)
    assert f"{of - 1} of {of} classes are shown" in text
    assert f"cannot exceed {100 * (of - 1) / of:.2f} %" in text
    assert "Ceiling" not in report_without_ceiling(tmp_path / "other")


def report_without_ceiling(root: Path) -> str:
    write(root, PARTITION, MANIFEST, seeds=(1,))
    return report(root, MANIFEST)


def test_published_numbers_beside_a_run_of_their_rules_only(tmp_path: Path) -> None:
    subject = Subject("fedmpt", "FedMPT", "fedmpt", "ViT-B-16-quickgelu", "openai")
    rules = {
        "rounds": 50,
        "batch_size": 32,
        "learning_rate": 0.001,
        "client_optimizer": "sgd",
        "weighting": "uniform",
        "shuffle": False,
    }
    params = MultiLabelParams(empty_class="zero", best_on_test=True)
    for name, federation in (("right", rules), ("wrong", {**rules, "rounds": 20})):
        root = tmp_path / name
        write(root, PARTITION, MANIFEST, params, (34,), "multiscene", federation=federation)
        text = report(root, MANIFEST, subject, "multiscene")
        assert ("port of 1.14 M parameters" in text) == (name == "right")
        assert ("49.56" in text) == (name == "right")
