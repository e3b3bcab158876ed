"""How `fedmvp run` would fill 1, 8 or 64 places with a profile, against what no order can beat.

``python -m benchmarks.schedule --profile paper --measured .fedmvp/run/stages.json``: the graph is
DVC's, of that profile. A stage takes what its stage and method took where they were measured, with
any profile (`fedmvp run` writes the file), times the images its setting has over those of the mean
setting, by the catalog's counts. The rule is the one of `fedmvp run` (`pipeline.cluster.plan`).
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from fedmvp.cli.profile import profile_params
from fedmvp.config import Params
from fedmvp.profiling.estimate import work_of
from fedmvp.profiling.planned_partitions import planned_partitions
from pipeline.cluster.estimates import Estimates, Measured
from pipeline.cluster.graph import Graph, Stage, read_graph
from pipeline.cluster.plan import lower_bound, simulate
from pipeline.cluster.report import duration

ROOT = Path(__file__).parent.parent
PLACES = (1, 8, 64)
Kind = tuple[str, str]  # a stage of dvc.yaml, and its method if it has one


def profile_graph(profile: str) -> Graph:
    """Return the stages of a profile, as DVC spans them, none of them run."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / ".dvc").mkdir()
        (root / ".dvc/config").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
        shutil.copyfile(ROOT / "dvc.yaml", root / "dvc.yaml")
        shutil.copyfile(ROOT / f"fedmvp/profiles/{profile}.yaml", root / "params.yaml")
        with contextlib.chdir(root):
            return read_graph(Path(), ())


def options(command: str) -> dict[str, str]:
    """Return the options of a stage's command."""
    words = shlex.split(command)[3:]
    return {
        name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }


def kind(command: str) -> Kind:
    module = shlex.split(command)[2].removeprefix("pipeline.")
    return module, options(command).get("method", "")


def kind_seconds(measured: Mapping[str, Measured]) -> dict[Kind, float]:
    """Return the mean seconds of each stage and method, and of each stage over all methods."""
    seconds: dict[Kind, list[float]] = {}
    for command, one in measured.items():
        stage, method = kind(command)
        for key in {(stage, method), (stage, "")}:
            seconds.setdefault(key, []).append(one.seconds)
    return {key: fmean(values) for key, values in seconds.items()}


def images(params: Params) -> dict[tuple[str, str, str], float]:
    """Return the images of trainings and evaluations by (stage, setting, method)."""
    found = {}
    for setting, partition in planned_partitions(params).items():
        for method in (*params.run.trained, *params.run.zero_shot):
            run = params.run.model_copy(
                update={"trained": [method], "zero_shot": [], "seeds": [1], "settings": [setting]}
            )
            work = work_of(params.model_copy(update={"run": run}), {setting: partition})
            found["train", setting, method] = work.trained_images
            found["evaluate", setting, method] = work.evaluated_images
            found["zero_shot", setting, method] = work.evaluated_images
    return found


def stage_seconds(
    stages: Iterable[Stage], params: Params, measured: Mapping[str, Measured]
) -> dict[str, float]:
    """Return the seconds of each stage."""
    kinds, counts = kind_seconds(measured), images(params)
    usual = {
        (stage, method): fmean(v for (s, _, m), v in counts.items() if (s, m) == (stage, method))
        for stage, _, method in counts
    }
    seconds = {}
    for stage in stages:
        module, method = kind(stage.command)
        base = kinds.get((module, method), kinds.get((module, ""), 0.0))
        setting = options(stage.command).get("setting", "")
        count = counts.get((module, setting, method))
        share = 1.0 if count is None else count / usual[module, method]
        seconds[stage.name] = base * share
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--measured", type=Path, default=ROOT / ".fedmvp/run/stages.json")
    parser.add_argument("--overhead", type=float, default=0.3, help="seconds between two stages")
    arguments = parser.parse_args()
    measured = Estimates.read(arguments.measured)
    if not measured:
        parser.error(f"{arguments.measured}: nothing measured; `fedmvp run` writes it")
    graph = profile_graph(arguments.profile)
    seconds = stage_seconds(graph.stages, profile_params(arguments.profile), measured)
    methods = {kind(command)[1] for command in measured if kind(command)[0] == "train"}
    print(
        f"{len(graph.stages)} stages, {duration(sum(seconds.values()))} of work; "
        f"trainings measured of {', '.join(sorted(methods))}, the others like their mean"
    )
    print("places  makespan      lower bound   ratio  with overhead")
    for places in PLACES:
        end = max(one.end_s for one in simulate(graph, seconds, places))
        paid = simulate(graph, seconds, places, overhead_s=arguments.overhead)
        late = max(one.end_s for one in paid)
        bound = lower_bound(graph, seconds, places)
        print(
            f"{places:6}  {duration(end):12}  {duration(bound):12}  {end / bound:.3f}"
            f"  {late / bound:.3f}"
        )


if __name__ == "__main__":
    main()
