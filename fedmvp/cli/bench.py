"""``fedmvp bench``: the time of everything besides the frozen tower."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedmvp.cli.output import say
from fedmvp.wording import plural

__all__ = ["bench"]


def bench(
    backbone: Annotated[
        str | None, typer.Option(help="`pictoclip` or an open_clip model; else params.yaml's.")
    ] = None,
    classes: Annotated[int, typer.Option(min=1, help="K, candidate classes.")] = 20,
    attributes: Annotated[int, typer.Option(min=1, help="Attributes of each class.")] = 10,
    batch: Annotated[int, typer.Option(min=1, help="B, images of a step.")] = 32,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1; else FEDMVP_DEVICE or cpu.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16 or fp16 arithmetic; else params.yaml's.")
    ] = None,
    repetitions: Annotated[
        int, typer.Option(min=1, help="Repetitions of every part, interleaved.")
    ] = 5,
    naive: Annotated[
        bool,
        typer.Option(
            help="Also time the naive way: texts encoded for every batch, the bank "
            "expanded to it, nothing cached."
        ),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Estimate this profile instead of params.yaml, by the catalog's counts: none of "
            "its datasets is needed."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Measure a training and an evaluation step against the bare tower.

    Every figure is the median of interleaved repetitions in this process. Weights, images and texts
    are random: time does not depend on them. FEDMVP_PLAIN switches shortcuts off.
    """
    from fedmvp.cli.methods import backbone_spec
    from fedmvp.cli.output import print_json
    from fedmvp.config import load_params
    from fedmvp.devices import prepare_device
    from fedmvp.errors import ConfigError
    from fedmvp.profiles import profile_params
    from fedmvp.profiling.bench import Question, answer

    if precision not in (None, "fp32", "bf16", "fp16"):
        raise ConfigError(
            "unknown precision", where="--precision", value=precision, hint="use fp32, bf16 or fp16"
        )
    own = load_params() if profile is None and Path("params.yaml").is_file() else None
    params = own if profile is None else profile_params(profile)
    name = backbone or ("pictoclip" if params is None else params.backbone.name)
    kind = precision or ("fp32" if params is None else params.backbone.precision)
    linear = "matmul" if params is None else params.backbone.linear
    chosen = prepare_device(device, option=None if device is None else "--device")
    question = Question(
        classes,
        attributes,
        batch,
        kind,
        repetitions,
        naive,
        chosen,
        planned=profile is not None,
        linear=linear,
    )
    result = answer(backbone_spec(name), question, params)
    if as_json:
        print_json(result)
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    from fedmvp.cli.output import print_table

    say(
        f"{result['backbone']} on {result['device']} ({plural(result['threads'], 'thread')}, "
        f"{result['precision']}, {result['linear']}): "
        f"{plural(result['classes'], 'class')} x {plural(result['attributes'], 'attribute')}, "
        f"batches of {result['batch']}"
    )
    print_table(
        ("part", "seconds", "ratio", "CPU ratio", "per second", "peak MiB"),
        [
            (
                row["part"],
                f"{row['seconds']:.4f}",
                f"{row['ratio']:.3f}",
                f"{row['cpu_ratio']:.3f}",
                f"{row['per_second']:.1f}",
                "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
            )
            for row in result["parts"]
        ],
    )
    say(
        "ratios: steps with a gradient relative to the bare forward + input gradient, the "
        "others to the bare forward"
    )
    best, share = result["product_gflop_per_second"], result["share_of_product"]
    say(
        f"a large matrix product runs at {best:,.0f} GFLOP/s; "
        + ", ".join(f"{name} at {value:.0%} of it" for name, value in share.items())
    )
    if result["repro_seconds"] is None:
        say(f"no estimate for `dvc repro`: {result['repro_note']}")
        return
    seconds, work = result["repro_seconds"], result["repro_work"]
    parts = ", ".join(f"{name} {_duration(value)}" for name, value in seconds.items())
    say(f"`dvc repro` {result['repro_note']}: {parts}")
    say(
        f"that is {work['trained_images']:,.0f} images in training steps, "
        f"{work['evaluated_images']:,} in evaluations and {work['frozen_images']:,} frozen, in "
        f"{work['runs']} runs (trained methods x seeds) of all settings"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 3600 else f"{seconds / 3600:,.1f} h"
