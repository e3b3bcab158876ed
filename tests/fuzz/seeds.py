"""Inputs each target takes, made when asked for: a fuzzer starts from them.

``python -m tests.fuzz.seeds FOLDER`` writes them as libFuzzer wants them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz import binary_seeds, text_seeds

__all__ = ["seeds"]

_MAKERS = {
    maker.__name__: maker
    for maker in (
        text_seeds.params,
        text_seeds.setting,
        text_seeds.catalog,
        text_seeds.manifest,
        text_seeds.partition,
        text_seeds.split_file,
        text_seeds.scenes,
        text_seeds.instances,
        text_seeds.label_table,
        text_seeds.class_list,
        text_seeds.attributes,
        text_seeds.llm_answer,
        text_seeds.result_table,
        binary_seeds.archive,
        binary_seeds.image,
        binary_seeds.learned,
        binary_seeds.checkpoint,
        binary_seeds.official,
        binary_seeds.clip_weights,
        binary_seeds.backbone,
        binary_seeds.message,
        text_seeds.plan,
        text_seeds.site,
    )
}


def seeds(target: str) -> list[bytes]:
    """Return the inputs a target starts from."""
    return _MAKERS[target]()


def main(folder: Path) -> None:
    """Write every target's seeds below `folder`."""
    for name, maker in _MAKERS.items():
        for number, data in enumerate(maker()):
            path = folder / name / f"seed-{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
