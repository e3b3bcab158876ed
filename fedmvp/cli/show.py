"""``fedmvp datasets show``: a dataset's images before and after its sites' cameras."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmvp.cli.output import say

if TYPE_CHECKING:
    import PIL.Image

    from fedmvp.catalog.cameras import Camera
    from fedmvp.catalog.spec import DatasetSpec

__all__ = ["camera_words", "show"]

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
}
_CLASSES = range(1, 51)
_SIZES = range(8, 257)


def show(
    name: Annotated[str, typer.Argument(help="A dataset of the catalog.")],
    out: Annotated[Path, typer.Option(help="Image file to write: .png, .jpg or .webp.")],
    severity: Annotated[
        float | None,
        typer.Option(
            help="Severity of the cameras; else data.capture of params.yaml, or 1 where that is 0."
        ),
    ] = None,
    classes: Annotated[int, typer.Option(help="Classes to show, 1 to 50.")] = 4,
    size: Annotated[int, typer.Option(help="Side of an image in pixels, 8 to 256.")] = 64,
) -> None:
    """Draw some images of every domain, as they are and as the domain's camera takes them.

    Cameras are what a catalog entry declares under `capture`; without any, images are shown as
    they are. Images that are missing are fetched first.
    """
    from fedmvp.catalog.spec import load_spec
    from fedmvp.config import load_params
    from fedmvp.data.build import build_manifest
    from fedmvp.data.contact_sheet import contact_sheet
    from fedmvp.data.images import raw_folder
    from fedmvp.output_files import write_output

    _check_out(out)
    _check_number("--classes", classes, _CLASSES)
    _check_number("--size", size, _SIZES)
    spec, data = load_spec(name), load_params().data
    severity = _severity(spec, severity, data.capture)
    seen = build_manifest(spec, data.split_seed, severity)
    clean = build_manifest(spec, data.split_seed) if seen.capture else seen
    base = raw_folder(name)
    sheet = contact_sheet(clean, seen, classes=classes, cell_px=size)
    write_output(out, _encoded(sheet, out), (base / image.path for image in seen.images))
    width = max(map(len, seen.domains))
    for domain in seen.domains:
        say(f"{domain.ljust(width)}  {camera_words(seen.capture.get(domain))}")
    say(f"severity {severity:g}; written: {out}" if seen.capture else f"written: {out}")


def camera_words(camera: Camera | None) -> str:
    """Return what a camera does, in one line."""
    if camera is None:
        return "images as they are"
    red, green, blue = camera.cast
    return (
        f"exposure {camera.exposure:.2f} ± {camera.exposure_spread:.0%}, "
        f"cast {red:.2f} {green:.2f} {blue:.2f}, "
        f"noise {camera.noise:.1%} ± {camera.noise_spread:.0%}, blur {camera.blur:.2f} px"
    )


def _severity(spec: DatasetSpec, given: float | None, params: float) -> float:
    """Return the severity to show; an error names the place where it was given."""
    from fedmvp.data.build import cameras_at
    from fedmvp.errors import ConfigError

    if given is None:
        return params or 1.0
    if not spec.capture:
        raise ConfigError(
            f"the catalog entry of {spec.name} declares no cameras",
            where="--severity",
            value=given,
            hint="leave the option out, or add `capture` to the entry (docs/datasets.md)",
        )
    cameras_at(spec, given, where="--severity")
    return given


def _check_out(out: Path) -> None:
    from fedmvp.errors import ConfigError
    from fedmvp.output_files import check_output

    check_output(out)
    if out.suffix.lower() not in _FORMATS:
        raise ConfigError(
            "not a kind of image file that can be written",
            where="--out",
            value=str(out),
            hint=f"end it in {', '.join(_FORMATS)}",
        )


def _check_number(option: str, value: int, allowed: range) -> None:
    from fedmvp.errors import ConfigError

    if value not in allowed:
        raise ConfigError(
            "number out of range",
            where=option,
            value=value,
            hint=f"use {allowed[0]} to {allowed[-1]}",
        )


def _encoded(sheet: PIL.Image.Image, out: Path) -> bytes:
    from fedmvp.errors import ConfigError

    kind, options = _FORMATS[out.suffix.lower()]
    buffer = io.BytesIO()
    try:
        sheet.save(buffer, kind, **options)
    except (OSError, ValueError) as error:  # WebP allows at most 16,383 pixels a side
        raise ConfigError(
            f"sheet of {sheet.width} x {sheet.height} pixels cannot be written as {kind} ({error})",
            where="--out",
            value=str(out),
            hint="write a .png, or show fewer or smaller images",
        ) from None
    return buffer.getvalue()
