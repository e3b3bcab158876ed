"""Whether a method is better than another on images of many labels, seed by seed.

    python -m benchmarks.scenes_intervals sites --ours fedmvp --other zero_shot_combined

reads the scores the runs of a setting kept, and prints for each metric ours minus the other's with
the 95 % interval of a paired bootstrap over test images: for each seed, and for all, as the report
has it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from fedmvp.errors import DataError
from fedmvp.partition.partition_files import load_partition
from fedmvp.paths import RESULTS, partition_path
from fedmvp.report.multilabel_intervals import multilabel_intervals
from pipeline.support.stage import run_stage


def runs_of(setting: str, method: str) -> dict[int, Path]:
    """Return the folders of every run of a method that kept scores, by seed.

    Raises
    ------
    DataError
        When there is none.
    """
    folder = RESULTS / setting / method
    found = {
        int(number[1]): path.parent
        for path in sorted(folder.glob("seed*/scores.safetensors"))
        if (number := re.fullmatch(r"seed(\d+)", path.parent.name))
    }
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
    partition = load_partition(partition_path(options.setting))
    ours, other = (runs_of(options.setting, name) for name in (options.ours, options.other))
    seeds = sorted(ours.keys() & other.keys())
    print(f"{options.ours} minus {options.other}, in points")
    for chosen in [[seed] for seed in seeds] + ([seeds] if len(seeds) > 1 else []):
        named = {options.other: {seed: other[seed] for seed in chosen}}
        found = multilabel_intervals(partition, {seed: ours[seed] for seed in chosen}, named)
        for metric, interval in found[options.other].items():
            ends = (100 * end for end in (interval.difference, interval.low, interval.high))
            words = "{:6.2f}  [{:6.2f}, {:6.2f}]".format(*ends)
            sure = (
                "above" if interval.low > 0 else "below" if interval.high < 0 else "not told apart"
            )
            print(f"{metric:9} seeds {','.join(map(str, chosen)):8} {words}  {sure}")


if __name__ == "__main__":
    run_stage(main)
