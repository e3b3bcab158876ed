"""Optimisations that leave the result the same up to rounding.

The environment variable ``FEDMVP_PLAIN`` switches them off: it lists some of the fields below,
separated by commas, or ``all``. tests/unit/core/test_shortcuts.py checks that results are equal,
and docs/performance.md says what each saves. Optimisations that cannot change a number (caches of
bytes, page-locked memory) have no switch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from fedmvp.errors import ConfigError

__all__ = ["Shortcuts", "compile_wanted"]

_VARIABLE, _COMPILE = "FEDMVP_PLAIN", "FEDMVP_COMPILE"


def compile_wanted() -> bool:
    """Tell whether ``FEDMVP_COMPILE`` asks for a compiled image tower; off unless it is 1.

    Off by default because compiling takes seconds in every process and needs a C++ compiler.

    Raises
    ------
    ConfigError
        When it is neither 0 nor 1.
    """
    word = os.environ.get(_COMPILE) or "0"
    if word not in ("0", "1"):
        raise ConfigError("neither on nor off", where=_COMPILE, value=word, hint="use 0 or 1")
    return word == "1"


@dataclass(frozen=True)
class Shortcuts:
    """Which shortcuts are taken.

    Parameters
    ----------
    last_block : bool
        Of the last image block compute the CLS row only.
    first_block : bool
        In the first image block keep no gradient graph of tokens in front of the prompts.
    pool_first : bool
        PromptFormer averages tokens before its last linear map instead of behind it.
    shared_bank : bool
        All images attend to one copy of the bank's keys and values.
    frozen_views : bool
        Un-prompted features of a client's images and mirror images are computed once.
    texts_once : bool
        The features of a class list's texts are computed once per process.
    like_lengths : bool
        Texts of like length are encoded together.
    fused_steps : bool
        An optimizer step is one kernel for all tensors.
    """

    last_block: bool = True
    first_block: bool = True
    pool_first: bool = True
    shared_bank: bool = True
    frozen_views: bool = True
    texts_once: bool = True
    like_lengths: bool = True
    fused_steps: bool = True

    @classmethod
    def from_environment(cls) -> Shortcuts:
        """Return the shortcuts that FEDMVP_PLAIN does not switch off.

        Raises
        ------
        ConfigError
            For a name that is not a shortcut.
        """
        known = [field.name for field in fields(cls)]
        named = [word.strip() for word in os.environ.get(_VARIABLE, "").split(",") if word.strip()]
        if named == ["all"]:
            named = known
        for name in named:
            if name not in known:
                raise ConfigError(
                    "unknown shortcut",
                    where=_VARIABLE,
                    value=name,
                    hint=f"use all or some of: {', '.join(known)}",
                )
        return cls(**dict.fromkeys(named, False))
