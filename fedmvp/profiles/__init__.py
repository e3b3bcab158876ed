"""The shipped profiles: complete params.yaml files, one YAML each.

``fedmvp profile use NAME`` copies one over params.yaml; no stage asks which is in use.
"""

from __future__ import annotations

from pathlib import Path

from fedmvp.config import Params, load_params
from fedmvp.errors import ConfigError

__all__ = ["profile_names", "profile_params", "profile_text"]

_FOLDER = Path(__file__).parent


def profile_names() -> tuple[str, ...]:
    """Return the names of the shipped profiles, `default` first."""
    names = sorted(path.stem for path in _FOLDER.glob("*.yaml"))
    return tuple(sorted(names, key=lambda name: (name != "default", name)))


def profile_text(name: str) -> str:
    """Return a profile's file.

    Raises
    ------
    ConfigError
        For an unknown name, with the known ones.
    """
    known = profile_names()
    if name not in known:
        raise ConfigError(
            "unknown profile",
            where="fedmvp profile",
            value=name,
            hint=f"use one of: {', '.join(known)}",
        )
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def profile_params(name: str) -> Params:
    """Return a profile, read and validated.

    Raises
    ------
    ConfigError
        For an unknown name, with the known ones.
    """
    profile_text(name)
    return load_params(_FOLDER / f"{name}.yaml")
