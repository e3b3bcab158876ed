"""The model card: the shipped one is what the template makes of its numbers."""

from __future__ import annotations

import json

from pretrain.card import card
from pretrain.export import FOLDER_OF_WEIGHTS
from pretrain.recipe import load_recipe

SCREEN = {
    "icons": 200_000,
    "copies": 5_000,
    "exact": 3_000,
    "by_hash": 1_500,
    "by_thumbnail": 800,
    "by_set": {"noto-v1": {"exact": 3, "near": 4}},
}
SETS = {"tabler": {"group": "train", "licence": "MIT", "icons": 5}}


def test_a_card_has_its_numbers_and_its_note() -> None:
    report = json.loads((FOLDER_OF_WEIGHTS / "evaluation.json").read_text(encoding="utf-8"))
    text = card(load_recipe(), report, SCREEN, SETS, (3, 4_000), "image 2.0 h", "A remark.")
    shipped = (FOLDER_OF_WEIGHTS / "MODEL_CARD.md").read_text(encoding="utf-8")
    tables = [line for line in shipped.splitlines() if line.startswith("| animals")]
    assert len(tables) == 3
    assert all(line in text for line in tables)
    assert "> A remark." in text
    assert "200,000 icons" in text
    assert "2,000 near ones" in text
    assert "| noto-v1 | 3 | 4 |" in text
    assert "| MIT | 5 | tabler |" in text
    assert "{{" not in text
