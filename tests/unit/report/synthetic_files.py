"""Made-up metrics, training curves and attention in the form of result files."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

__all__ = ["explained", "metrics_of", "training_rows"]

BYTES = {"fedmvp": 39_383_040, "fedmaple": 14_220_288, "fedtpg": 16_824_320, "fedclip": 2_101_248}


def metrics_of(partition: dict[str, Any], scores: Sequence[float]) -> dict[str, float]:
    pairs = list(zip(partition["targets"], scores, strict=True))
    if partition["protocol"] != "base_to_new":
        return _transfer_metrics(pairs)
    metrics: dict[str, float] = {}
    datasets = dict.fromkeys(target["dataset"] for target, _ in pairs)
    for dataset in datasets:
        for group in ("local", "base", "new"):
            own = [s for t, s in pairs if t["dataset"] == dataset and t["group"] == group]
            metrics[f"{group}/{dataset}"] = math.fsum(own) / len(own)
        parts = [metrics[f"{group}/{dataset}"] for group in ("local", "base", "new")]
        metrics[f"hm/{dataset}"] = 3 / sum(1 / part for part in parts)
    for group in ("local", "base", "new"):
        metrics[group] = math.fsum(metrics[f"{group}/{d}"] for d in datasets) / len(datasets)
    metrics["hm"] = 3 / sum(1 / metrics[group] for group in ("local", "base", "new"))
    return metrics


def _transfer_metrics(pairs: Sequence[tuple[dict[str, Any], float]]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name in dict.fromkeys(target["name"] for target, _ in pairs):
        parts = {t["dataset"]: s for t, s in pairs if t["name"] == name}
        metrics[name] = math.fsum(parts.values()) / len(parts)
        if len(parts) > 1:
            metrics |= {f"{name}/{dataset}": score for dataset, score in parts.items()}
    means = [metrics[t["name"]] for t, _ in pairs if t["group"] == "target"]
    return {"mean": math.fsum(means) / len(means), **metrics}


def training_rows(
    partition: dict[str, Any], method: str, rounds: int, draw: random.Random
) -> list[dict[str, Any]]:
    rows = []
    size = BYTES.get(method, 8_192)
    switch = rounds * 2 // 3 if method == "fedmvp" else rounds
    for client in partition["clients"]:
        for number in range(rounds):
            lora = number >= switch
            cross_entropy = 1.2 + 1.4 * math.exp(-number / 4) + draw.gauss(0, 0.05)
            consistency = 0.05 + 0.1 * (1 - math.exp(-number / 5)) + draw.gauss(0, 0.002)
            has_consistency = method == "fedmvp"
            loss = cross_entropy + (10 * consistency if has_consistency else 0.0)
            rows.append(
                {
                    "fold": client["fold"],
                    "round": number,
                    "client": client["id"],
                    "phase": "lora" if lora else "full",
                    "images": len(client["train"]),
                    "loss": loss,
                    "loss_ce": cross_entropy,
                    "loss_con": consistency if has_consistency else "",
                    "accuracy": 0.75 - 0.35 * math.exp(-number / 5) + draw.gauss(0, 0.01),
                    "learning_rate": 0.003,
                    "bytes_up": 147_456 if lora else size,
                    "bytes_down": size,
                }
            )
    return rows


def explained(
    class_name: str, attributes: Sequence[str], draw: random.Random
) -> list[dict[str, Any]]:
    return [
        {
            "id": f"test/{number}",
            "dataset": "animals",
            "class": class_name,
            "predicted": class_name if number % 3 else "raccoon",
            "grid": [8, 8],
            "attributes": [
                {"class": class_name, "text": text, "weights": _blob(draw)} for text in attributes
            ],
        }
        for number in range(4)
    ]


def _blob(draw: random.Random) -> list[float]:
    x, y = draw.uniform(1, 6), draw.uniform(1, 6)
    raw = [math.exp(-((c - x) ** 2 + (r - y) ** 2) / 6) + 0.2 for r in range(8) for c in range(8)]
    return [round(w / sum(raw), 4) for w in raw]
