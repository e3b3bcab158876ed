"""What is fuzzed: every parser of bytes that come from elsewhere.

A target takes any bytes and returns. It may refuse them with the error its callers expect and
nothing else; what it accepts, it checks. `tests/fuzz/run.py` drives one with coverage-guided
fuzzing, `tests/fuzz/test_targets.py` replays the corpus and seeded mutations of it.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import binary_targets, text_targets

__all__ = ["TARGETS"]

TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        text_targets.params,
        text_targets.setting,
        text_targets.catalog,
        text_targets.manifest,
        text_targets.partition,
        text_targets.split_file,
        text_targets.scenes,
        text_targets.instances,
        text_targets.label_table,
        text_targets.class_list,
        text_targets.attributes,
        text_targets.llm_answer,
        text_targets.result_table,
        binary_targets.archive,
        binary_targets.image,
        binary_targets.learned,
        binary_targets.checkpoint,
        binary_targets.official,
        binary_targets.clip_weights,
        binary_targets.backbone,
        binary_targets.message,
        text_targets.plan,
        text_targets.site,
    )
}
