"""A change reruns what depends on it, and nothing else."""

from __future__ import annotations

import pytest

from tests.pipeline.conftest import Copy

pytestmark = pytest.mark.pipeline


def trained(*methods: str, setting: str = "base_to_new", seed: int = 1) -> set[str]:
    """Return the training and evaluation of some methods."""
    return {f"{s}@{setting}-{m}-{seed}" for s in ("train", "evaluate") for m in methods}


def only(stage: str, names: set[str]) -> set[str]:
    """Return the names that belong to a stage."""
    return {name for name in names if name.startswith(f"{stage}@")}


END = {"report", "track"}
ZERO_SHOT = {"zero_shot@base_to_new-zero_shot"}
METHODS = trained("fedmvp", "other")
EVALUATE = only("evaluate", METHODS)
SCORES = METHODS | ZERO_SHOT | END
CODE = {"code"}
PREPARATION = {"backbone", "download@animals", "attributes@animals", "partition@base_to_new"}


def test_the_whole_pipeline(copy: Copy) -> None:
    assert copy.stages() == PREPARATION | CODE | SCORES


def test_nothing_runs_twice(copy: Copy) -> None:
    assert copy.status() == {}
    assert copy.repro() == set()


@pytest.mark.parametrize(
    ("key", "value", "rerun"),
    [
        ("evaluation.explain_images", 1, EVALUATE | ZERO_SHOT | END),
        ("evaluation.batch_size", 7, EVALUATE | ZERO_SHOT | END),
        ("methods.fedmvp.consistency_weight", 0.5, trained("fedmvp") | END),
        ("methods.zero_shot.federation", {}, ZERO_SHOT | END),
        ("federation.rounds", 3, METHODS | END),
        ("attributes.template", "paper-v1", {"attributes@animals"} | SCORES | CODE),
        ("partition.shots", 4, {"partition@base_to_new"} | SCORES),
        ("data.split_seed", 2, PREPARATION - {"backbone", "attributes@animals"} | SCORES),
        ("data.capture", 0.3, PREPARATION - {"backbone", "attributes@animals"} | SCORES),
        ("backbone.precision", "bf16", {"backbone"} | SCORES),
        ("backbone.linear", "matmul", {"backbone"} | SCORES),
        ("report.title", "Another title", {"report"}),
        ("profile", "another", {"report"}),
        ("run.seeds", [1, 2], trained("fedmvp", "other", seed=2) | ZERO_SHOT | END | CODE),
        ("run.trained", ["fedmvp"], END | CODE),
    ],
)
def test_params(copy: Copy, key: str, value: object, rerun: set[str]) -> None:
    copy.set_param(key, value)
    assert copy.repro() == rerun
    assert copy.status() == {}


@pytest.mark.parametrize(
    ("file", "rerun"),
    [
        ("fedmvp/report/tables.py", {"report"}),
        ("fedmvp/report/templates/report.html.j2", {"report"}),
        ("fedmvp/report/published/paper/msst.yaml", {"report"}),
        ("fedmvp/tracking/upsert.py", {"track"}),
        ("fedmvp/evaluation/metrics.py", EVALUATE | ZERO_SHOT | END),
        ("fedmvp/federation/aggregation/rules.py", METHODS | END),
        ("fedmvp/methods/promptformer.py", trained("fedmvp") | END),
        ("fedmvp/methods/other.py", trained("other") | END),
        ("fedmvp/methods/zero_shot.py", ZERO_SHOT | END),
        ("fedmvp/attributes/sentences.py", {"attributes@animals"} | SCORES),
        ("fedmvp/partition/settings/field/base_to_new.yaml", {"partition@base_to_new"} | SCORES),
        ("fedmvp/methods/__init__.py", {"report"}),
        ("fedmvp/partition/settings/field/msst.yaml", set()),
        ("fedmvp/attributes/recorded/food.jsonl", set()),
        ("fedmvp/cli/track.py", set()),
    ],
)
def test_code_and_its_data(copy: Copy, file: str, rerun: set[str]) -> None:
    copy.append(file)
    assert copy.repro() == CODE | rerun


def test_what_is_no_input_reruns_nothing(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "FEDMVP_DEVICE", "FEDMVP_TRACKING_URI", "FEDMVP_DATA"):
        monkeypatch.setenv(name, "something")
    copy.append("params.yaml", "# a comment\n")
    (copy.root / "README.md").write_text("words", encoding="utf-8")
    cache = copy.root / "fedmvp/clip/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "vision.pyc").write_bytes(b"compiled")
    assert copy.status() == {}


def test_going_back_restores_from_the_cache(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    before = copy.set_param("federation.rounds", 3)
    copy.repro()

    def refuse(stage: object, **_: object) -> None:
        raise AssertionError(f"{stage} ran")

    copy.set_param("federation.rounds", before)
    monkeypatch.setattr("dvc.stage.run.cmd_run", refuse)
    assert copy.repro() >= METHODS
    assert copy.status() == {}
