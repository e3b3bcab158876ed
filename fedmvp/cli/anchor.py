"""``fedmvp datasets anchor``: reproduce a published zero-shot number."""

from __future__ import annotations

from typing import Annotated

import typer

from fedmvp.cli.output import say

__all__ = ["anchor"]


def anchor(
    name: Annotated[str, typer.Argument(help="A dataset with a published number: voc2007.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check a dataset, the backbone and the metric against a published zero-shot mAP.

    Needs the stage backbone with OpenAI's weights (ViT-B-16: 78.88 on VOC 2007, as CLIP_benchmark
    measured it) and the dataset. The exit code is 2 when the difference is more than 0.3 points.
    """
    from dataclasses import asdict

    from fedmvp.catalog.spec import load_spec
    from fedmvp.cli.output import print_json
    from fedmvp.clip.backbone import load_backbone
    from fedmvp.devices import prepare_device
    from fedmvp.evaluation.anchors import TOLERANCE, measure_anchor
    from fedmvp.paths import BACKBONE

    spec = load_spec(name)
    measured = measure_anchor(spec, load_backbone(BACKBONE, device=prepare_device()))
    if as_json:
        print_json({**asdict(measured), "tolerance": TOLERANCE, "holds": measured.holds})
    else:
        say(
            f"{name}: zero-shot mAP {measured.found:.2%} on {measured.images:,} test images with "
            f"{measured.model}; published {measured.published:.2%}",
            "ok"
            if measured.holds
            else f"they differ by more than {TOLERANCE:.1%}: labels, weights"
            " or decoding are not what they should be",
        )
    if not measured.holds:
        raise typer.Exit(2)
