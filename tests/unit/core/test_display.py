"""The progress line of training, as narrow as a terminal may be."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fedmvp.config import load_params
from fedmvp.federation.rounds import RoundReport
from fedmvp.partition.model import Client, Partition
from pipeline.support.progress import TrainingDisplay
from tests.paths import ROOT


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_narrow_window_keeps_the_numbers(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=columns, color_system=None)
    monkeypatch.setattr("pipeline.support.progress.Console", lambda stderr: console)
    client = Client("a", "imagenet-sketch", "toys", None, ("ant",), ("a.png",))
    partition = Partition("cross_dataset", "transfer", "by_image", (client,), ())
    federation = load_params(ROOT / "params.yaml").federation
    title = "cross_dataset fedmvp_without_attributes seed 12"
    with TrainingDisplay(title, partition, federation) as display:
        display.update("imagenet-sketch", RoundReport(11, 20, 21, 1.2345))
        display.progress.refresh()
    last = out.getvalue().split("\r")[-1]
    for part in (f"round 12/{federation.rounds}", "client 20/21", "loss 1.234"):
        assert part in last
    assert ("imagenet-sketch" in last) == (columns == 200)
