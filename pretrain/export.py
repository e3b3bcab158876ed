"""Write the shipped model: fp16 weights and open_clip's configuration.

Takes the joint phase's averaged weights where it has run, else joins the first two phases.
Run: `python -m pretrain.export`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from fedmvp.files import write_bytes, write_json
from pretrain.checkpoints import average_of, checkpoint_folder, work_done
from pretrain.join import join
from pretrain.loop import UNITS
from pretrain.recipe import FOLDER, load_recipe
from pretrain.tower import MEAN, STD, build, model_config

__all__ = ["FOLDER_OF_WEIGHTS", "export", "finished_model"]

FOLDER_OF_WEIGHTS = FOLDER.parent / "fedmvp" / "clip" / "weights" / "pictoclip"
LIMIT_BYTES = 20_000_000


def finished_model() -> tuple[nn.Module, dict[str, str]]:
    """Return the model to ship, fp32, and how many examples each phase has seen."""
    recipe = load_recipe()
    seen: dict[str, str] = {phase: str(work_done(checkpoint_folder(phase))) for phase in UNITS}
    if seen["joint"] == "0":
        return join(recipe.model), seen
    clip = build(recipe.model)
    clip.load_state_dict(average_of(checkpoint_folder("joint")))
    return clip, seen


def export(clip: nn.Module, seen: dict[str, str], folder: Path) -> int:
    """Write weights and configuration; return the weights' size in bytes.

    `seen` goes into the weights file's metadata, from where the model card takes it.

    Raises
    ------
    ValueError
        When the weights are not finite in fp16 or larger than the limit.
    """
    tensors: dict[str, Tensor] = {
        name: value.half().contiguous() for name, value in clip.state_dict().items()
    }
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    content = save(tensors, metadata=seen)
    if broken or len(content) > LIMIT_BYTES:
        raise ValueError(f"not finite in fp16: {broken}; {len(content)} of {LIMIT_BYTES} bytes")
    config = {
        "model_cfg": model_config(load_recipe().model),
        "preprocess_cfg": {
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
    write_bytes(folder / "model.safetensors", content)
    # The same file twice: ours, and under the name that open_clip's "local-dir:" looks for.
    for name in ("config.json", "open_clip_config.json"):
        write_json(folder / name, config, sort_keys=False)
    return len(content)


def main() -> None:
    """Export and say how large the weights are."""
    print(export(*finished_model(), FOLDER_OF_WEIGHTS), "bytes")


if __name__ == "__main__":
    main()
