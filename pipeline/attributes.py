"""Stage `attributes`: write data/attributes/<dataset>.json from recorded or live answers.

Run as ``python -m pipeline.attributes DATASET``. With provider `recorded` nothing is ever called.
"""

from __future__ import annotations

import sys

from fedmvp.attributes.class_attributes import attributes_path, save_attributes
from fedmvp.attributes.generate import DatasetClasses, collect_attributes
from fedmvp.config import load_params
from fedmvp.data.spec import load_spec
from fedmvp.errors import FedMVPError


def run(dataset: str) -> None:
    """Collect the attributes of every class of `dataset` and write them in label order.

    Raises
    ------
    ConfigError
        When params.yaml or the catalog entry is not valid.
    AttributeTextError
        When a class has no valid attributes.
    """
    params = load_params()
    spec = load_spec(dataset)
    classes = DatasetClasses(spec.name, spec.title, spec.class_names)
    save_attributes(attributes_path(dataset), collect_attributes(classes, params.attributes))


def main(arguments: list[str]) -> int:
    """Run the stage; return its exit code."""
    if len(arguments) != 1:
        print("usage: python -m pipeline.attributes DATASET", file=sys.stderr)
        return 2
    try:
        run(arguments[0])
    except FedMVPError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
