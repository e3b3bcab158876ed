"""How well a backbone's output tokens of patches tell classes apart, before any training.

    python -m benchmarks.patch_classes

prints for each dataset of base_to_new the zero-shot accuracy on its known classes of the image
feature, of the mean patch token and of the best patch token for each class. Methods that compare
texts with patches (FedOTP, FedPLOT) start from the latter. Needs the stages backbone, attributes
and partition.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from fedmvp.methods.transport import patch_features
from fedmvp.report.format import percent
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

SETTING, METHOD = "base_to_new", "zero_shot"
IMAGES = 200  # of each dataset, at most


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    context = RunContext(SETTING, METHOD)
    print("| dataset | classes | image feature | mean patch | best patch |")
    print("| --- | --- | --- | --- | --- |")
    for target in (t for t in context.partition.targets if t.group == "base"):
        classes = context.banks.select(target.dataset, target.domain, target.classes)
        chosen = target.images[:: max(1, len(target.images) // IMAGES)][:IMAGES]
        pixels, labels = context.test_images(target.dataset, chosen, classes.names)
        images = context.backbone.normalise(pixels)
        texts = F.normalize(classes.single("template"), dim=-1)
        whole = F.normalize(context.backbone.frozen_features([images]), dim=-1)
        patches = patch_features(context.backbone, images)
        scores = (whole @ texts.T, patches.mean(dim=1) @ texts.T, (patches @ texts.T).amax(dim=1))
        right = [(score.argmax(dim=1).cpu().numpy() == labels).mean() for score in scores]
        cells = " | ".join(percent(float(share)) for share in right)
        print(f"| {target.dataset} | {len(classes)} | {cells} |")


if __name__ == "__main__":
    run_stage(main)
