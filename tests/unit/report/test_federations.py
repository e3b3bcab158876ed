"""Imported federations on the page: in a section of their own, and nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import DataError
from fedmvp.federation.flare.importing import import_results
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.outcome import write_results
from fedmvp.federation.messages import EvaluateReply
from fedmvp.federation.plan import Plan, save_plan
from fedmvp.federation.rounds import FederationResult
from fedmvp.federation.site_evaluation import add_up
from fedmvp.files import write_json
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.report import build
from tests.toys import FEDERATION
from tests.unit.report.html_checker import check
from tests.unit.report.making import EMOJI, SMALL, report, table

SITES = ("north", "south")
ROW = {
    "phase": "all",
    "images": 9,
    "loss": 1.5,
    "learning_rate": 0.1,
    "bytes_up": 8,
    "bytes_down": 8,
}
FAILURE = {"client": "south", "round_index": 1, "error": "ClientFailure: late", "trace": ""}


def imported(
    root: Path,
    backbone: Backbone,
    groups: dict[str, dict[str, Any]],
    withheld: dict[str, list[str]],
    **entries: Any,
) -> None:
    """Place the results of a federation whose sites sent these counts under ``root/results``."""
    organiser = Organiser(root / "fed")
    plan = Plan(
        name="clinics",
        method="promptfl",
        federation={**FEDERATION, "rounds": 2},
        seed=3,
        clients=SITES,
        backbone={"sha256": backbone.spec.tower_sha256},
        **entries,
    )
    write_json(organiser.backbone / "spec.json", backbone.spec.model_dump(mode="json"))
    save_plan(organiser.plan, plan)
    counts = add_up(EvaluateReply(site, 2, groups[site], withheld.get(site, [])) for site in SITES)
    assert counts.failures == []
    rows = [{**ROW, "round": number, "client": "north"} for number in (0, 1)]
    write_results(
        organiser, plan, FederationResult({"w": torch.ones(2)}, rows, [FAILURE], {}), counts
    )
    import_results(organiser, plan, root / "results")
    shutil.rmtree(organiser.root)


def rebuilt(root: Path, settings: tuple[str, ...] | None = None) -> Path:
    build(
        root / "results",
        root / "partitions",
        root / "report",
        EMOJI,
        settings=settings,
        methods=SMALL.methods if settings else None,
        seeds=SMALL.seeds if settings else None,
    )
    return root / "report"


def test_sites_counts_stand_in_a_section_of_their_own(tmp_path: Path, tiny: Backbone) -> None:
    SMALL.write(tmp_path)
    plain = rebuilt(tmp_path, SMALL.settings)
    before = {path.name: path.read_bytes() for path in (plain / "tables").iterdir()}
    assert "federations" not in (plain / "index.html").read_text()
    groups = {
        "north": {"known": {"right": [6], "total": [8]}, "new": {"right": [1], "total": [4]}},
        "south": {"known": {"right": [9], "total": [12]}},
    }
    imported(tmp_path, tiny, groups, {"south": ["new"]})
    for settings in (SMALL.settings, None):  # also where everything that is there is reported
        built = rebuilt(tmp_path, settings)
        page = (built / "index.html").read_text()
        check(page)
        assert (
            "2 sites, 2 rounds over flare. 1 update missed. Kept to themselves: south (new)."
            in page
        )
        cells = (
            '<tr><th scope="row">all</th><td>known</td><td class="num">20</td>'
            '<td class="num">75.0</td></tr>'
        )
        assert cells in page
        rows = table(built, "federations.csv")
        assert [(r["site"], r["group"], r["images"], r["value"]) for r in rows] == [
            ("north", "known", "8", "0.750000"),
            ("north", "new", "4", "0.250000"),
            ("south", "known", "12", "0.750000"),
            ("all", "known", "20", "0.750000"),
            ("all", "new", "4", "0.250000"),
        ]
    built = rebuilt(tmp_path, SMALL.settings)
    # No table, no rank and no metric of the stages' own results has it.
    assert {
        path.name: path.read_bytes()
        for path in (built / "tables").iterdir()
        if path.name != "federations.csv"
    } == before


def test_many_labels_are_told_by_precision_recall_and_f1(tmp_path: Path, tiny: Backbone) -> None:
    SMALL.write(tmp_path)
    count = {
        "true_positives": [3] * 19,
        "false_positives": [1] * 19,
        "false_negatives": [3] * 19,
        "total": [5],
    }
    imported(
        tmp_path,
        tiny,
        {"north": {"known": count}, "south": {"known": count}},
        {},
        multilabel=MultiLabelParams(),
    )
    built = rebuilt(tmp_path, SMALL.settings)
    together = [row for row in table(built, "federations.csv") if row["site"] == "all"]
    assert {row["metric"]: row["value"] for row in together} == {
        "op": "0.750000",
        "or": "0.500000",
        "of1": "0.600000",
    }
    assert "F1 in %" in (built / "index.html").read_text()


def test_a_report_without_a_federation_says_nothing_of_one(built: Path) -> None:
    assert not (built / "tables" / "federations.csv").exists()


def test_damaged_counts_are_named(tmp_path: Path, tiny: Backbone) -> None:
    report(tmp_path)
    groups = {site: {"known": {"right": [6], "total": [8]}} for site in SITES}
    imported(tmp_path, tiny, groups, {})
    path = tmp_path / "results/federation_clinics/promptfl/seed3/counts.json"
    write_json(path, {"scores": {"north": {"known": {"images": 3}}}})
    with pytest.raises(DataError, match="not the counts of a federation"):
        rebuilt(tmp_path, SMALL.settings)
