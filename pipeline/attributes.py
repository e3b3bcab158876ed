"""Stage ``attributes``: recorded or live answers → data/attributes/<dataset>.json.

Run as ``python -m pipeline.attributes DATASET``. With provider `recorded` nothing is ever called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fedmvp.attributes.class_attributes import save_attributes
from fedmvp.attributes.generate import DatasetClasses, collect_attributes
from fedmvp.attributes.text_lengths import cut_texts, report_cut_texts
from fedmvp.catalog.spec import load_spec
from fedmvp.config import load_params
from fedmvp.paths import attributes_path
from fedmvp.wording import plural
from pipeline.support.stage import run_stage, stage_arguments


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Collect the attributes of every class of one dataset and write them in label order."""
    (dataset,) = stage_arguments(arguments, "DATASET")
    params = load_params()
    spec = load_spec(dataset)
    classes = DatasetClasses(spec.name, spec.title, spec.class_names)
    attributes = collect_attributes(classes, params.attributes)
    cut = cut_texts(attributes.classes, spec.sentence.ways())
    for line in report_cut_texts(dataset, cut, refuse=params.attributes.long_texts == "refuse"):
        print(line, file=sys.stderr)
    save_attributes(attributes_path(dataset), attributes)
    total = sum(map(len, attributes.classes.values()))
    print(f"{dataset}: {plural(total, 'attribute')} of {plural(len(attributes.classes), 'class')}")


if __name__ == "__main__":
    run_stage(main)
