"""Reports of made-up results, and their tables: what the tests of the page share."""

from __future__ import annotations

import csv
from pathlib import Path

from fedmvp.report import Subject, build
from tests.unit.report.synthetic import World, draw_image

EMOJI = Subject("default", "FedMVP on emoji", "emoji", "pictoclip")
SMALL = World(
    settings=("base_to_new", "cross_dataset", "msst"),
    rounds=4,
    datasets={"animals": 40, "food": 30},
)


def report(root: Path, world: World = SMALL, subject: Subject = EMOJI) -> Path:
    results, partitions = world.write(root)
    build(
        results,
        partitions,
        root / "report",
        subject,
        settings=world.settings,
        methods=world.methods,
        seeds=world.seeds,
        load_image=draw_image,
    )
    return root / "report"


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / name).open(newline="") as file:
        return list(csv.DictReader(file))
