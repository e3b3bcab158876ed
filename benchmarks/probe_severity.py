"""What `fedmvp probe` says of the emoji datasets as their sites' cameras get worse.

    python -m benchmarks.probe_severity --out docs/probe_severity.csv

probes every dataset of params.yaml at each severity and writes a line for it and for each of its
domains. The thresholds of `fedmvp.evaluation.recommendation` are read off this file beside what
FedMVP gains at the same severities (`python -m benchmarks.severity`). Needs the stages backbone
and attributes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from fedmvp.catalog.spec import load_spec
from fedmvp.clip.backbone import load_backbone
from fedmvp.config import load_params
from fedmvp.csv_files import write_csv
from fedmvp.data.build import build_manifest
from fedmvp.devices import prepare_device
from fedmvp.evaluation.probe import Group, Probe, probe_dataset
from fedmvp.evaluation.recommendation import recommend
from fedmvp.evaluation.shift import brightness, contrast
from fedmvp.paths import BACKBONE
from pipeline.support.stage import run_stage

SEVERITIES = (0.0, 0.35, 0.7, 1.0)
COLUMNS = (
    "severity",
    "dataset",
    "domain",
    "train_images",
    "test_images",
    "chance",
    "zero_shot",
    "zero_shot_combined",
    "linear_probe",
    "gap_points",
    "shift",
    "pixel_shift",
    "brightness",
    "contrast",
    "verdict",
)


def rows(severity: float, probe: Probe) -> Iterator[dict[str, object]]:
    """Yield a dataset's line, then those of its domains."""
    of_dataset = {
        "chance": f"{probe.chance:.4f}",
        "linear_probe": f"{probe.linear_probe:.4f}",
        "gap_points": f"{probe.gap_points:.2f}",
        "verdict": recommend(probe).verdict,
    }
    yield _row(severity, probe.dataset, probe.whole) | of_dataset
    for group in probe.domains:
        yield _row(severity, probe.dataset, group)


def _row(severity: float, dataset: str, group: Group) -> dict[str, object]:
    found = group.statistics
    values = {
        "zero_shot": group.zero_shot,
        "zero_shot_combined": group.zero_shot_combined,
        "shift": group.shift,
        "pixel_shift": group.pixel_shift,
    }
    light = (
        {}
        if found is None
        else {
            "brightness": f"{brightness(found.pixels):.1f}",
            "contrast": f"{contrast(found.pixels):.1f}",
        }
    )
    return {
        **dict.fromkeys(COLUMNS),
        "severity": f"{severity:g}",
        "dataset": dataset,
        "domain": group.name,
        "train_images": group.train_images,
        "test_images": group.test_images,
        **{name: None if value is None else f"{value:.4f}" for name, value in values.items()},
        **light,
    }


def main() -> None:
    """Probe every dataset at every severity."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    out = parser.parse_args().out
    data = load_params().data
    backbone = load_backbone(BACKBONE, device=prepare_device())
    table: list[dict[str, object]] = []
    for severity in SEVERITIES:
        for name in data.datasets:
            manifest = build_manifest(load_spec(name), data.split_seed, severity)
            probe = probe_dataset(manifest, backbone, Path("data/attributes"))
            table += rows(severity, probe)
            shift = "none recorded" if probe.whole.shift is None else f"{probe.whole.shift:.3f}"
            print(
                f"severity {severity:g}, {name}: zero-shot {probe.zero_shot:.1%}, linear probe "
                f"{probe.linear_probe:.1%}, gap {probe.gap_points:+.1f} points, shift {shift}: "
                f"{recommend(probe).verdict}",
                flush=True,
            )
    write_csv(out, COLUMNS, table)


if __name__ == "__main__":
    run_stage(main)
