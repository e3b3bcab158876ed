"""The methods, by name.

A new method needs a module, a line here and a section in params.yaml. Its module is imported only
when the method is used (`fedmvp.methods.build`), so a run depends on no other method's code.
"""

from __future__ import annotations

__all__ = ["METHODS", "method_title"]

METHODS: dict[str, tuple[str, str, str]] = {
    "zero_shot": ("zero_shot", "ZeroShot", "Zero-shot"),
    "zero_shot_ensemble": ("zero_shot", "ZeroShotEnsemble", "Zero-shot, ensemble"),
    "zero_shot_attributes": ("zero_shot", "ZeroShotAttributes", "Zero-shot, attributes"),
    "zero_shot_combined": ("zero_shot", "ZeroShotCombined", "Zero-shot, both texts"),
    "promptfl": ("promptfl", "PromptFL", "PromptFL"),
    "fedkgcoop": ("fedkgcoop", "FedKgCoOp", "FedKgCoOp"),
    "fedcocoop": ("fedcocoop", "FedCoCoOp", "FedCoCoOp"),
    "fedvpt": ("fedvpt", "FedVPT", "FedVPT"),
    "fedvpt_deep": ("fedvpt", "FedVPTDeep", "FedVPT, deep"),
    "fedvlp": ("fedvlp", "FedVLP", "FedVLP"),
    "fedmaple": ("fedmaple", "FedMaPLe", "FedMaPLe"),
    "fedtpg": ("fedtpg", "FedTPG", "FedTPG"),
    "fedclip": ("fedclip", "FedCLIP", "FedCLIP"),
    "fedotp": ("fedotp", "FedOTP", "FedOTP"),
    "fed_dualcoop": ("fed_dualcoop", "FedDualCoOp", "Fed-DualCoOp"),
    "fedpgp": ("fedpgp", "FedPGP", "FedPGP"),
    "promptfolio": ("promptfolio", "PromptFolio", "PromptFolio"),
    "fedpha": ("fedpha", "FedPHA", "FedPHA"),
    "pfedmoap": ("pfedmoap", "PFedMoAP", "pFedMoAP"),
    "fedmgp": ("fedmgp", "FedMGP", "FedMGP"),
    "fedpromptsrc": ("fedpromptsrc", "FedPromptSRC", "FedPromptSRC"),
    "fedprograd": ("fedprograd", "FedProGrad", "FedProGrad"),
    "fedplot": ("fedplot", "FedPLOT", "FedPLOT"),
    "fedmvp": ("fedmvp", "FedMVP", "FedMVP"),
}
"""Name of a method → its module in this package, its class there, and its title in reports.

Titles are here and not in the classes, so that the report need not import these and torch.
"""


def method_title(name: str) -> str:
    """Return a method's title in reports; for an unknown one, of an old result, its name."""
    return METHODS[name][2] if name in METHODS else name
