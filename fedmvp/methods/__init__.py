"""The methods, by name.

Modules are imported when a method is asked for, so a run loads (and depends on) its own method
only. A new method is one module, one line here and one section in params.yaml.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fedmvp.errors import ConfigError

if TYPE_CHECKING:
    from fedmvp.methods.base import Method

__all__ = ["METHODS", "load_method"]

METHODS: dict[str, str] = {
    "zero_shot": "ZeroShot",
    "zero_shot_ensemble": "ZeroShotEnsemble",
    "zero_shot_attributes": "ZeroShotAttributes",
    "zero_shot_combined": "ZeroShotCombined",
    "promptfl": "PromptFL",
    "fedkgcoop": "FedKgCoOp",
    "fedcocoop": "FedCoCoOp",
    "fedvpt": "FedVPT",
    "fedvpt_deep": "FedVPTDeep",
    "fedvlp": "FedVLP",
    "fedmaple": "FedMaPLe",
    "fedtpg": "FedTPG",
    "fedclip": "FedCLIP",
    "fedotp": "FedOTP",
    "fedpgp": "FedPGP",
    "promptfolio": "PromptFolio",
    "fedpha": "FedPHA",
    "pfedmoap": "PFedMoAP",
    "fedmgp": "FedMGP",
    "fedpromptsrc": "FedPromptSRC",
    "fedprograd": "FedProGrad",
    "fedplot": "FedPLOT",
    "fedmvp": "FedMVP",
}
"""Name of a method (its module in this package) → name of its class."""


def load_method(name: str) -> type[Method]:
    """Import a method's class.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest known ones.
    """
    if name not in METHODS:
        import difflib

        near = difflib.get_close_matches(name, METHODS, 3) or sorted(METHODS)
        raise ConfigError("unknown method", where="params.yaml: methods", value=name,
                          hint=f"use one of: {', '.join(near)}")  # fmt: skip
    module = importlib.import_module(f"fedmvp.methods.{name}")
    method: type[Method] = getattr(module, METHODS[name])
    return method
