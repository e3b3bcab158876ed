"""Whether a method is better than another on images of many labels, seed by seed.

    python -m benchmarks.scenes_intervals sites --ours fedmvp --other zero_shot_combined

reads the scores the runs of a setting kept, and prints for mAP of each target, and for h of seen
and unseen classes together, ours minus the other's with the 95 % interval of a paired bootstrap
over test images; for each seed, and for all.
"""

from __future__ import annotations

import argparse
import re

from fedmvp.errors import DataError
from fedmvp.evaluation.multilabel_intervals import Run, score_intervals
from fedmvp.paths import RESULTS
from fedmvp.results.scores import read_scores
from pipeline.support.stage import run_stage


def runs_of(setting: str, method: str) -> dict[int, Run]:
    """Return the kept scores of every run of a method, by seed.

    Raises
    ------
    DataError
        When there is none.
    """
    folder = RESULTS / setting / method
    found: dict[int, Run] = {}
    for path in sorted(folder.glob("seed*/scores.safetensors")):
        number = re.fullmatch(r"seed(\d+)", path.parent.name)
        if number and (parts := read_scores(path)):
            found[int(number[1])] = parts
    if not found:
        raise DataError("no run kept scores", where=folder, hint="run `dvc repro evaluate`")
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("setting")
    parser.add_argument("--ours", default="fedmvp")
    parser.add_argument("--other", default="zero_shot_combined")
    options = parser.parse_args()
    runs = [runs_of(options.setting, name) for name in (options.ours, options.other)]
    print(f"{options.ours} minus {options.other}, in points")
    for (part, metric, seeds), interval in score_intervals(*runs).items():
        ends = (100 * end for end in (interval.difference, interval.low, interval.high))
        words = "{:6.2f}  [{:6.2f}, {:6.2f}]".format(*ends)
        sure = "above" if interval.low > 0 else "below" if interval.high < 0 else "not told apart"
        print(f"{part:34} {metric:3} seeds {','.join(map(str, seeds)):8} {words}  {sure}")


if __name__ == "__main__":
    run_stage(main)
