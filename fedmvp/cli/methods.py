"""``fedmvp methods``: how many parameters every method trains and sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

if TYPE_CHECKING:
    from fedmvp.clip.backbone import Backbone
    from fedmvp.clip.spec import BackboneSpec

__all__ = ["backbone_spec", "method_row", "methods"]


def methods(
    backbone: Annotated[
        str | None, typer.Option(help="`pictoclip` or an open_clip model; else params.yaml's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """List methods and their parameter counts.

    How many parameters each trains and sends in a round, for the sections of params.yaml. A method
    with several phases shows the first, then the others; one with several variants also shows those
    that params.yaml does not choose.
    """
    from fedmvp.cli.output import print_json, print_table
    from fedmvp.clip.backbone import Backbone
    from fedmvp.methods import METHODS

    params = _params()
    sections = {} if params is None else params.methods
    chosen = backbone or ("pictoclip" if params is None else params.backbone.name)
    # Tensors without values: memory that is never touched is never allocated.
    tower = Backbone(backbone_spec(chosen))
    rows = [method_row(name, sections.get(name, {}), tower) for name in METHODS]
    if as_json:
        print_json(rows)
        return
    print_table(("method", "trainable", "communicated"), [line for r in rows for line in _lines(r)])


def method_row(name: str, section: Mapping[str, Any], backbone: Backbone) -> dict[str, Any]:
    """Return a method's sizes, in numbers of parameters.

    Returns
    -------
    dict
        ``method``, ``trainable`` and ``communicated`` of the first phase; ``phases`` where there
        are several, and ``variants`` with the phases of each other variant.
    """
    from fedmvp.methods.build import load_method

    phases = _phases(name, section, backbone)
    row: dict[str, Any] = {"method": name, **next(iter(phases.values()))}
    if len(phases) > 1:
        row["phases"] = phases
    fields = load_method(name).Params.model_fields
    field = fields.get("variant")
    if field is not None:
        own = section.get("variant", field.default)
        row["variant"] = own
        # Entries that are null by default are filled in by the variant.
        shared = {key: value for key, value in section.items() if fields[key].default is not None}
        row["variants"] = {
            variant: {"phases": _phases(name, {**shared, "variant": variant}, backbone)}
            for variant in get_args(field.annotation)
            if variant != own
        }
    return row


def _phases(name: str, section: Mapping[str, Any], backbone: Backbone) -> dict[str, dict[str, int]]:
    """Return the sizes of the phases a client goes through, in their order."""
    from fedmvp.methods.base import RoundLosses
    from fedmvp.methods.build import build_method, load_method, method_params

    kind = load_method(name)
    if not kind.trained:
        return {kind.first_phase: {"trainable": 0, "communicated": 0}}
    method = build_method(name, backbone, method_params(name, section), seed=0)
    sizes = {key: tensor.numel() for key, tensor in method.tensors().items()}
    phases: dict[str, dict[str, int]] = {}
    phase = kind.first_phase
    while phase not in phases:
        phases[phase] = {
            "trainable": sum(sizes[key] for key in method.trainable(phase)),
            "communicated": sum(sizes[key] for key in method.communicated(phase)),
        }
        # The phase of a client once its loss is as low as possible.
        phase = method.next_phase(phase, RoundLosses(0.0, 0.0))
    return phases


def _lines(row: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    lines = [(row["method"], row["trainable"], row["communicated"])]
    groups = {"": row.get("phases", {})}
    groups |= {f"{name}, ": part["phases"] for name, part in row.get("variants", {}).items()}
    for group, phases in groups.items():
        for name, sizes in phases.items():
            lines.append((f"  {group}phase {name}", sizes["trainable"], sizes["communicated"]))
    return lines


def _params() -> Any:
    """Return params.yaml, or None if there is none: sections then have their defaults."""
    from pathlib import Path

    from fedmvp.config import load_params

    return load_params() if Path("params.yaml").is_file() else None


def backbone_spec(name: str) -> BackboneSpec:
    """Return the sizes of a backbone; for the pipeline's, they are read from its file."""
    from fedmvp.prediction.backbones import stage_spec

    spec = stage_spec()
    if spec is not None and spec.name == name:
        return spec
    from fedmvp.clip.open_clip_models import describe_model

    return describe_model(name)
