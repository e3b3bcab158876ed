"""Contents of the files a small repository folder holds."""

from __future__ import annotations

from typing import Any

PARAMS: dict[str, Any] = {
    "profile": "tiny",
    "run": {
        "suite": "emoji",
        "settings": ["base_to_new"],
        "zero_shot": ["zero_shot"],
        "trained": ["fedmvp"],
        "seeds": [1, 2],
    },
    "backbone": {"name": "pictoclip", "pretrained": None, "weights": None},
    "data": {"datasets": ["animals"], "split_seed": 1},
    "attributes": {
        "provider": "recorded",
        "model": "claude",
        "template": "visual-v1",
        "per_class": 10,
    },
    "partition": {"classes_per_client": 2, "shots": 8, "seed": 1},
    "federation": {
        "rounds": 3,
        "participation": 1.0,
        "local_epochs": 1,
        "batch_size": 8,
        "learning_rate": 0.003,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "client_state": "fresh",
        "weighting": "uniform",
    },
    "evaluation": {"batch_size": 8, "explain_images": 1},
    "report": {"title": "Tiny"},
    "methods": {"zero_shot": {}, "fedmvp": {"n_prompts": 4}},
}
ROUND_COLUMNS = (
    "fold",
    "round",
    "client",
    "phase",
    "images",
    "loss",
    "loss_ce",
    "loss_con",
    "accuracy",
    "learning_rate",
    "bytes_up",
    "bytes_down",
)
TARGET_COLUMNS = ("fold", "group", "name", "dataset", "domain", "classes", "images", "accuracy")
PREDICTIONS = """fold,group,name,dataset,image,label,predicted
animals,base,base,animals,animals/noto/ant.png,ant,bear
"""


def rounds(seed: int = 1, fold: str = "animals") -> list[dict[str, Any]]:
    """Return three rounds of two clients."""
    return [
        {
            "fold": fold,
            "round": step,
            "client": f"{fold}-{client}",
            "phase": "prompt" if step < 2 else "lora",
            "images": 8,
            "loss": 1.0 / (step + seed + client),
            "loss_ce": 0.5,
            "loss_con": None,
            "accuracy": 0.5,
            "learning_rate": 0.1,
            "bytes_up": 100,
            "bytes_down": 200,
        }
        for step in range(3)
        for client in range(2)
    ]


def explain() -> dict[str, Any]:
    """Return the attention of one image to one attribute on a 2x2 grid."""
    attribute = {"class": "bear", "text": "thick brown fur", "weights": [0.1, 0.2, 0.3, 0.4]}
    image = {
        "id": "noto/bear/1.png",
        "dataset": "animals",
        "class": "bear",
        "predicted": "ant",
        "grid": [2, 2],
        "attributes": [attribute],
    }
    return {"images": [image]}
