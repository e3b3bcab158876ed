"""A change reruns what depends on it, and nothing else."""

from __future__ import annotations

import pytest

from tests.pipeline.conftest import Copy

pytestmark = pytest.mark.pipeline

DATASETS, SETTINGS = ("animals", "food"), ("base_to_new", "msst")
DOWNLOAD = {f"download@{d}" for d in DATASETS}
ATTRIBUTES = {f"attributes@{d}" for d in DATASETS}
PARTITION = {f"partition@{s}" for s in SETTINGS}
ZERO_SHOT = {f"zero_shot@{s}-zero_shot" for s in SETTINGS}
END = {"report", "track"}


def trained(stage: str, *methods: str) -> set[str]:
    """Return the names of a stage for some methods."""
    return {f"{stage}@{s}-{m}-1" for s in SETTINGS for m in methods}


TRAIN = trained("train", "fedmvp", "other")
EVALUATE = trained("evaluate", "fedmvp", "other")
FEDMVP = trained("train", "fedmvp") | trained("evaluate", "fedmvp")
OTHER = trained("train", "other") | trained("evaluate", "other")
EVERYTHING = {"backbone"} | DOWNLOAD | ATTRIBUTES | PARTITION | TRAIN | EVALUATE | ZERO_SHOT | END


def test_the_whole_pipeline(copy: Copy) -> None:
    from dvc.repo import Repo

    with Repo(str(copy.root)) as repo:
        assert {stage.addressing for stage in repo.index.stages} == EVERYTHING


def test_nothing_runs_twice(copy: Copy) -> None:
    assert copy.status() == {}
    assert copy.repro() == set()


@pytest.mark.parametrize(
    ("key", "value", "rerun"),
    [
        ("evaluation.explain_images", 1, EVALUATE | END),
        ("evaluation.batch_size", 7, EVALUATE | ZERO_SHOT | END),
        ("methods.fedmvp.consistency_weight", 0.5, FEDMVP | END),
        ("methods.other.strength", 2.0, OTHER | END),
        ("federation.rounds", 3, TRAIN | EVALUATE | END),
        ("attributes.template", "paper-v1", ATTRIBUTES | TRAIN | EVALUATE | ZERO_SHOT | END),
        ("partition.shots", 4, PARTITION | TRAIN | EVALUATE | ZERO_SHOT | END),
        ("report.title", "Another title", {"report"}),
        ("profile", "another", {"report"}),
        ("run.seeds", [1, 2], ZERO_SHOT | END | {
            f"{stage}@{s}-{m}-2"
            for stage in ("train", "evaluate") for s in SETTINGS for m in ("fedmvp", "other")
        }),
        ("run.trained", ["fedmvp"], END),
        ("run.settings", ["base_to_new"], END),
        ("backbone.precision", "bf16", {"backbone"} | TRAIN | EVALUATE | ZERO_SHOT | END),
    ],
)  # fmt: skip
def test_params(copy: Copy, key: str, value: object, rerun: set[str]) -> None:
    copy.set_param(key, value)
    assert copy.status() != {}
    assert copy.repro() == rerun
    assert copy.status() == {}


@pytest.mark.parametrize(
    ("file", "rerun"),
    [
        ("fedmvp/report/tables.py", {"report"}),
        ("fedmvp/tracking/upsert.py", {"track"}),
        ("fedmvp/evaluation/metrics.py", EVALUATE | ZERO_SHOT | END),
        ("fedmvp/federation/aggregation.py", TRAIN | EVALUATE | END),
        ("fedmvp/methods/other.py", OTHER | END),
        ("fedmvp/methods/zero_shot.py", ZERO_SHOT | END),
        ("fedmvp/settings/emoji/msst.yaml", {
            "partition@msst", "zero_shot@msst-zero_shot",
            "train@msst-fedmvp-1", "train@msst-other-1",
            "evaluate@msst-fedmvp-1", "evaluate@msst-other-1",
        } | END),
        ("pipeline/train.py", TRAIN | EVALUATE | END),
    ],
)  # fmt: skip
def test_code(copy: Copy, file: str, rerun: set[str]) -> None:
    copy.append(file)
    assert copy.repro() == rerun


def test_what_is_no_input_reruns_nothing(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "FEDMVP_DEVICE", "FEDMVP_TRACKING_URI", "FEDMVP_DATA"):
        monkeypatch.setenv(name, "something")
    copy.append("params.yaml", "# a comment\n")
    (copy.root / "README.md").write_text("words", encoding="utf-8")
    (copy.root / "fedmvp/cli").mkdir(exist_ok=True)
    (copy.root / "fedmvp/cli/another.py").write_text("pass\n", encoding="utf-8")
    cache = copy.root / "fedmvp/clip/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "vision.pyc").write_bytes(b"compiled")
    assert copy.status() == {}


def test_going_back_restores_from_the_cache(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    copy.set_param("federation.rounds", 3)
    copy.repro()

    def refuse(stage: object, **_: object) -> None:
        raise AssertionError(f"{stage} ran")

    copy.set_param("federation.rounds", 10)
    monkeypatch.setattr("dvc.stage.run.cmd_run", refuse)
    assert copy.repro() >= TRAIN
    assert copy.status() == {}
