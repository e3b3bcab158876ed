from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fedmvp.config import load_params
from fedmvp.errors import DataError
from fedmvp.methods.build import method_params, resolved_federation
from fedmvp.partition.setting_spec import setting_names
from fedmvp.profiles import profile_params
from fedmvp.report.published import PublishedTable, published_tables

PAPER = Path(__file__).parents[3] / "fedmvp/profiles/paper.yaml"
TABLES = published_tables("paper", "ViT-B-16-quickgelu", "openai")
TARGETS = (
    "caltech101",
    "oxford_flowers",
    "fgvc_aircraft",
    "ucf101",
    "oxford_pets",
    "food101",
    "dtd",
    "stanford_cars",
    "sun397",
    "eurosat",
)


def full_rows(setting: str) -> list[tuple[str, dict[str, float]]]:
    return [
        (row.title, {key: number.value for key, number in row.values.items()})
        for table in TABLES
        if table.setting == setting
        for row in table.rows
    ]


def test_only_for_the_suite_and_the_backbone_they_were_published_for() -> None:
    assert TABLES
    assert published_tables("emoji", "ViT-B-16-quickgelu", "openai") == ()
    assert published_tables("paper", "pictoclip", "") == ()
    assert published_tables("paper", "ViT-B-16", "laion2b_s34b_b88k") == ()
    assert published_tables("", "", "") == ()


def test_harmonic_means_agree_with_their_parts() -> None:
    rows = [values for _, values in full_rows("base_to_new") if len(values) == 4]
    assert len(rows) == 7
    for row in rows:
        assert row["hm"] == pytest.approx(
            3 / sum(1 / row[key] for key in ("local", "base", "new")), abs=3e-4
        )


def test_means_agree_with_their_targets() -> None:
    rows = [values for _, values in full_rows("cross_dataset") if "mean" in values]
    assert len(rows) == 7
    for row in rows:
        assert row["mean"] == pytest.approx(sum(row[t] for t in TARGETS) / 10, abs=2e-4)
    variants = [values for _, values in full_rows("imagenet_variants")]
    assert len(variants) == 7
    for row in variants:
        names = ("imagenet_v2", "imagenet_sketch", "imagenet_a", "imagenet_r")
        assert row["mean"] == pytest.approx(sum(row[n] for n in names) / 4, abs=2e-4)


def test_domain_settings_average_to_the_printed_mean() -> None:
    sets = ("pacs", "officehome", "vlcs", "terraincognita", "domainnet")
    means = [dict(full_rows(f"msst_{name}"))["FedMVP"]["mean"] for name in sets]
    assert sum(means) / 5 == pytest.approx(0.7302, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "{backbones: [b], pretrained: w, tables: [{setting: s, source: x, conditions: c}]}",
            "not a table",
        ),
        (
            "{backbones: [b], pretrained: w, tables: [{setting: s, source: x, conditions: c, rows: "
            "[{method: m, title: t, evidence: hearsay, percent: {hm: 1}}]}]}",
            "unknown evidence",
        ),
        (
            "{backbones: [b], pretrained: w, tables: [{setting: s, source: x, conditions: c, rows: "
            "[{method: m, title: t, evidence: log, percent: {hm: 178}}]}]}",
            "not a percentage",
        ),
    ],
)
def test_a_wrong_data_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "wrong.yaml").write_text(text)
    with pytest.raises(DataError, match=complaint) as caught:
        published_tables("suite", "b", "w", tmp_path)
    assert "wrong.yaml" in str(caught.value)


def test_settings_and_targets_are_those_of_the_papers_suite() -> None:
    """A misspelt one would never meet a measured number."""
    known = {"mean", "local", "base", "new", "hm", *load_params(PAPER).data.datasets}
    for table in TABLES:
        assert table.setting in load_params(PAPER).run.settings
        for row in table.rows:
            assert {part for key in row.values for part in key.split("/")} <= known


def test_every_table_says_where_it_comes_from() -> None:
    table: PublishedTable
    for table in TABLES:
        assert re.search(r"\b20\d\d\b|official run log", table.source)
        assert re.search(r"shots|clients|datasets", table.conditions)


def run_params(profile: str) -> dict[str, Any]:
    """Return the sections that run.json of a FedMVP of a profile has."""
    params = profile_params(profile)
    section = method_params("fedmvp", params.methods["fedmvp"])
    return {
        "federation": resolved_federation("fedmvp", section, params.federation).model_dump(),
        "multilabel": params.multilabel.model_dump(),
    }


def test_fedmpts_numbers_stand_beside_a_run_of_its_rules_only() -> None:
    tables = published_tables("fedmpt", "ViT-B-16-quickgelu", "openai")
    assert {table.setting for table in tables} < set(setting_names("fedmpt"))
    right = run_params("fedmpt")
    for table in tables:
        assert table.requires and table.fits(right)
        assert not table.fits(run_params("scenes-paper")) and not table.fits({})
        for key in table.requires:
            section, name = key.split(".")
            assert not table.fits({**right, section: {**right[section], name: "other"}})


def test_fedmpts_port_is_named_and_its_means_agree() -> None:
    """Means over the five shares as its repository prints them."""
    tables = published_tables("fedmpt", "ViT-B-16-quickgelu", "openai")
    rows = {t.setting: next(r for r in t.rows if r.method == "fedmvp") for t in tables}
    assert all("1.14 M parameters" in row.title for row in rows.values())
    for name, mean in (("voc2007", 79.77), ("coco2014", 36.20), ("nuswide", 26.99)):
        own = [rows[f"{name}_mask{p}"].values["map"].value for p in (10, 30, 50, 70, 90)]
        assert 100 * sum(own) / 5 == pytest.approx(mean, abs=0.006)
