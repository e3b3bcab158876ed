"""Files to projection: equal files, equal projections; nothing needs mlflow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmvp.errors import DataError
from fedmvp.files import write_json
from fedmvp.results.key import result_folders
from fedmvp.results.rounds import RoundRow
from fedmvp.tracking.attention import attention_maps
from fedmvp.tracking.projection import flatten, metric_key, project, series
from fedmvp.tracking.prompts import described_datasets, prompt_artifacts, registry_texts

Writer = Callable[..., Path]


def test_everything_of_a_folder_is_projected(write_result: Writer) -> None:
    projection = project(write_result())
    assert projection.name == f"base_to_new/fedmvp/seed1-{projection.fingerprint[:8]}"
    assert projection.params == {
        "federation.learning_rate": "0.1",
        "federation.rounds": "3",
        "tags": '["a", "b"]',
        "none": "null",
        "setting": "base_to_new",
        "method": "fedmvp",
        "seed": "1",
    }
    assert projection.metrics == {"hm": 0.5, "hm/animals": 0.5, "local": 0.25}
    assert set(projection.files) == {
        f"result/{name}"
        for name in (
            "run.json",
            "metrics.json",
            "rounds.csv",
            "targets.csv",
            "predictions.csv",
            "weights.safetensors",
            "explain.json",
        )
    }
    assert projection.tags["dvc.stage"] == "train@base_to_new-fedmvp-1"
    assert len(projection.tags["sha256.weights.safetensors"]) == 64
    assert len(projection.tags["sha256.predictions.csv"]) == 64
    assert projection.last_round == 2


def test_curves_are_means_and_sums_over_clients(write_result: Writer) -> None:
    series = project(write_result(seed=1)).series
    # Clients 0 and 1 of seed 1 have loss 1/(step + 1) and 1/(step + 2).
    assert series["train/loss"] == {0: 0.75, 1: pytest.approx(5 / 12), 2: pytest.approx(7 / 24)}
    assert series["train/loss/animals"] == series["train/loss"]
    assert series["train/bytes_up"] == {0: 200, 1: 200, 2: 200}
    assert series["train/clients"] == {0: 2, 1: 2, 2: 2}
    assert series["train/phase/prompt"] == {0: 1, 1: 1}
    assert series["train/phase/lora"] == {2: 1}
    assert "train/loss_con" not in series
    assert series["train/failures"] == {0: 0, 1: 0, 2: 0}


def test_failed_clients_are_counted(write_result: Writer) -> None:
    folder = write_result()
    failure = {
        "fold": "animals",
        "client": "animals-0",
        "round_index": 1,
        "error": "E: it broke",
        "trace": "",
    }
    write_json(folder / "failures.json", [failure, {**failure, "client": "animals-1"}])
    series = project(folder).series
    assert series["train/failures"] == series["train/failures/animals"] == {0: 0, 1: 2, 2: 0}
    write_json(folder / "failures.json", {"none": True})
    with pytest.raises(DataError, match=r"failures\.json"):
        project(folder)


def test_diverged_losses_are_shown_as_nan() -> None:
    row = RoundRow("f", 0, "c", "", 1, loss=math.nan, accuracy=math.inf, bytes_up=1)
    found = series([row], [])
    assert math.isnan(found["train/loss"][0])
    assert math.isnan(found["train/accuracy"][0])
    assert found["train/bytes_up"][0] == 1


def test_content_follows_every_file(write_result: Writer) -> None:
    folder = write_result()
    before = project(folder).content
    assert project(write_result()).content == before
    (folder / "weights.safetensors").write_bytes(b"other")
    assert project(folder).content != before
    assert project(write_result(hm=0.6)).content != before


def test_only_complete_results_count(write_result: Writer, root: Path) -> None:
    complete = write_result(seed=1)
    (write_result(seed=2) / "metrics.json").unlink()
    assert result_folders(root / "results") == [complete]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", {"setting": "s"}, "fingerprint"),
        ("run.json", [1], "fingerprint"),
        ("metrics.json", {"hm": "high"}, "fraction"),
        ("metrics.json", {"hm": True}, "fraction"),
    ],
)
def test_malformed_files_are_named(
    write_result: Writer, name: str, content: object, message: str
) -> None:
    folder = write_result()
    write_json(folder / name, content)
    with pytest.raises(DataError, match=message) as caught:
        project(folder)
    assert name in str(caught.value)


def test_malformed_rounds_are_named(write_result: Writer) -> None:
    folder = write_result()
    text = (folder / "rounds.csv").read_text(encoding="utf-8")
    (folder / "rounds.csv").write_text(text.replace("animals,0", "animals,zero"), encoding="utf-8")
    with pytest.raises(DataError, match=r"rounds\.csv"):
        project(folder)


def test_long_parameters_keep_their_start() -> None:
    assert flatten({"text": "x" * 7000})["text"] == "x" * 5999 + "…"


def test_keys_hold_only_what_mlflow_takes() -> None:
    assert metric_key("caltech-101/Ångström's {x}") == "caltech-101/_ngstr_m_s _x_"


def test_prompts_are_kept_as_texts(write_result: Writer, root: Path) -> None:
    described = described_datasets(root, project(write_result()).inputs)
    artifacts = prompt_artifacts(described, 7)
    assert set(artifacts) == {
        "prompts/attributes/animals.json",
        "prompts/questions/animals.json",
        "prompts/sentences/animals.json",
        "prompts/templates.json",
    }
    sentences = json.loads(artifacts["prompts/sentences/animals.json"])[""]
    assert [len(texts) for texts in sentences.values()] == [2, 1]
    assert all("bear" in text and "thick brown fur" in text for text in sentences["bear"])
    questions = json.loads(artifacts["prompts/questions/animals.json"])
    assert questions.keys() == sentences.keys()
    assert all(f'"{name}"' in text and "exactly 7 " in text for name, text in questions.items())
    texts = registry_texts(described, 7)
    assert set(texts) == {
        "fedmvp.hand.animals",
        "fedmvp.sentence.animals",
        "fedmvp.question.visual-v1",
        "fedmvp.question.visual-v1.animals",
    }
    assert (
        texts["fedmvp.question.visual-v1.animals"].replace("{{class}}", "bear")
        == (questions["bear"])
    )
    assert all("{{class}}" in text for text in texts.values())


def test_attributes_rebuilt_since_are_not_the_runs(write_result: Writer, root: Path) -> None:
    inputs = project(write_result()).inputs
    write_json(root / "data/attributes/animals.json", {"dataset": "animals"})
    assert described_datasets(root, inputs) == []


def test_attention_becomes_pictures(write_result: Writer) -> None:
    explain = json.loads((write_result() / "explain.json").read_text(encoding="utf-8"))
    pictures = attention_maps(explain, lambda dataset, image: None)
    assert list(pictures) == ["attention/00-animals-bear.png"]
    assert pictures["attention/00-animals-bear.png"].startswith(b"\x89PNG")
    assert attention_maps({"images": []}, lambda dataset, image: None) == {}


def test_projecting_needs_no_mlflow_and_no_torch() -> None:
    """Each costs seconds; a sync with nothing to do must not."""
    code = (
        "import sys, fedmvp.tracking.sync, fedmvp.tracking.live;"
        "print(*sorted({'mlflow', 'torch', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
