"""``fedmvp probe``: how frozen CLIP does on a dataset, and whether visual prompts may help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say
from fedmvp.wording import plural

if TYPE_CHECKING:
    from fedmvp.data.manifest import Manifest
    from fedmvp.evaluation.probe import Group, Probe
    from fedmvp.evaluation.shift import Moments

__all__ = ["probe"]


def probe(
    dataset: Annotated[str, typer.Argument(help="A dataset whose manifest is built.")],
    severity: Annotated[
        float | None,
        typer.Option(
            help="Probe the images as the dataset's cameras take them; else as they are listed."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Estimate before training whether visual prompts are likely to help on a dataset.

    Compares zero-shot accuracy with a linear probe on the same frozen features, and the images'
    patches with those of the images the image tower was trained on; also per domain. docs/probe.md
    explains them. Needs `dvc repro backbone download`; with --severity, `dvc repro backbone`.
    """
    from fedmvp.cli.output import print_json
    from fedmvp.clip.backbone import load_backbone
    from fedmvp.devices import prepare_device
    from fedmvp.evaluation.probe import probe_dataset
    from fedmvp.paths import ATTRIBUTES, BACKBONE

    manifest = _manifest(dataset, severity)
    _require(BACKBONE / "spec.json", "backbone")
    backbone = load_backbone(BACKBONE, device=prepare_device())
    found = probe_dataset(manifest, backbone, ATTRIBUTES)
    if as_json:
        print_json(_record(found, severity))
        return
    _print(found, severity, cameras=bool(manifest.capture))


def _manifest(dataset: str, severity: float | None) -> Manifest:
    """Return the images to probe; see `probe`."""
    from fedmvp.catalog.spec import load_spec
    from fedmvp.config import load_params
    from fedmvp.data.build import build_manifest, cameras_at
    from fedmvp.data.manifest_files import load_manifest
    from fedmvp.errors import ConfigError
    from fedmvp.paths import manifest_path

    spec = load_spec(dataset)
    if severity is None:
        _require(manifest_path(dataset), f"download@{dataset}")
        return load_manifest(manifest_path(dataset))
    cameras_at(spec, severity, where="--severity")
    if severity and not spec.capture:
        raise ConfigError(
            f"the catalog entry of {spec.name} declares no cameras",
            where="--severity",
            value=severity,
            hint="leave the option out, or add `capture` to the entry (docs/datasets.md)",
        )
    return build_manifest(spec, load_params().data.split_seed, severity)


def _require(path: Path, stage: str) -> None:
    from fedmvp.errors import DataError

    if not path.is_file():
        raise DataError("file is missing", where=path, hint=f"run `dvc repro {stage}`")


def _record(found: Probe, severity: float | None) -> dict[str, Any]:
    """Return what ``--json`` prints: accuracies as fractions, pixel statistics in 0 to 255."""
    from fedmvp.evaluation.recommendation import recommend

    whole, advice = found.whole, recommend(found)
    return {
        "dataset": found.dataset,
        "severity": severity,
        "classes": found.classes,
        "train_images": whole.train_images,
        "test_images": whole.test_images,
        "chance": found.chance,
        "zero_shot": found.zero_shot,
        "zero_shot_combined": whole.zero_shot_combined,
        "linear_probe": found.linear_probe,
        "gap_points": found.gap_points,
        "shift": whole.shift,
        "pixel_shift": whole.pixel_shift,
        "pixels": _pixels(whole),
        "reference": {
            "source": found.reference.source,
            "patches": found.reference.patches is not None,
            "pixels": _moments(found.reference.pixels),
        },
        "domains": [
            {
                "domain": group.name,
                "train_images": group.train_images,
                "test_images": group.test_images,
                "zero_shot": group.zero_shot,
                "zero_shot_combined": group.zero_shot_combined,
                "shift": group.shift,
                "pixel_shift": group.pixel_shift,
                "pixels": _pixels(group),
            }
            for group in found.domains
        ],
        "verdict": advice.verdict,
        "recommendation": advice.text,
    }


def _pixels(group: Group) -> dict[str, Any] | None:
    return None if group.statistics is None else _moments(group.statistics.pixels)


def _moments(pixels: Moments) -> dict[str, Any]:
    from fedmvp.evaluation.shift import brightness, contrast

    return {
        "brightness": brightness(pixels),
        "contrast": contrast(pixels),
        "mean": pixels.mean.tolist(),
        "std": pixels.std.tolist(),
    }


def _print(found: Probe, severity: float | None, *, cameras: bool) -> None:
    from fedmvp.cli.output import print_table
    from fedmvp.evaluation.recommendation import recommend
    from fedmvp.evaluation.shift import pixel_words

    whole, reference = found.whole, found.reference
    seen = "as they are"
    if cameras:
        seen = "through the sites' cameras"
        seen += "" if severity is None else f" at severity {severity:g}"
    say(
        f"{found.dataset}: {plural(found.classes, 'class')}, {whole.train_images:,} training and "
        f"{plural(whole.test_images, 'test image')}, {seen}",
        "",
    )
    both = whole.zero_shot_combined
    lines: list[tuple[str, str, str]] = [
        ("chance", _percent(found.chance), "guessing"),
        ("zero-shot", _percent(found.zero_shot), "hand template"),
        (
            "zero-shot, both texts",
            _percent(both),
            "template and attributes" if both is not None else "run `dvc repro attributes`",
        ),
        ("linear probe", _percent(found.linear_probe), "trained on the frozen features"),
        ("gap", f"{found.gap_points:+.2f} ", "linear probe minus zero-shot, points"),
        (
            "shift",
            _number(whole.shift),
            "patches against the reference; 0: alike"
            if reference.patches is not None
            else "no patch statistics for this backbone",
        ),
        ("pixel shift", _number(whole.pixel_shift), "pixel values against the reference"),
    ]
    width = max(len(value) for _, value, _ in lines)
    print_table(
        ("measure", "value".rjust(width), ""), [(n, v.rjust(width), w) for n, v, w in lines]
    )
    say("")
    header = ("domain", "train", "test", "zero-shot", "both texts", "shift", "pixel shift")
    print_table(header, [_domain_row(group, header) for group in found.domains])
    if whole.statistics is not None:
        words = pixel_words(whole.statistics.pixels, reference.pixels)
        say("", f"Pixels: {words}.")
    say(f"Reference: {reference.source}.")
    say("", recommend(found).text)


def _domain_row(group: Group, header: tuple[str, ...]) -> list[object]:
    cells = (
        _percent(group.zero_shot),
        _percent(group.zero_shot_combined),
        _number(group.shift),
        _number(group.pixel_shift),
    )
    padded = (cell.rjust(len(title)) for cell, title in zip(cells, header[3:], strict=True))
    return [group.name, group.train_images, group.test_images, *padded]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
