"""Whether the extra ``flare`` is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from fedmvp.errors import ConfigError

__all__ = ["flare_version", "require_flare"]

_SERIES = "2.9"


def flare_version() -> str | None:
    """Return the installed version of FLARE, or None."""
    try:
        return importlib.metadata.version("nvflare")
    except importlib.metadata.PackageNotFoundError:
        return None


def require_flare() -> None:
    """Raise an error when FLARE is not installed.

    Raises
    ------
    ConfigError
        When nvflare is missing or of another series.
    """
    version = flare_version()
    hint = "install it: `uv pip install 'fedmvp[flare]'` (Linux)"
    if version is None or importlib.util.find_spec("nvflare") is None:
        raise ConfigError("nvflare is not installed", where="extra flare", hint=hint)
    if not version.startswith(f"{_SERIES}."):
        raise ConfigError(
            f"nvflare {_SERIES} is needed", where="extra flare", value=version, hint=hint
        )
