"""FedMVP's section: variants and their flags, the federation it asks for, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.methods.build import build_method, method_params, resolved_federation
from fedmvp.methods.fedmvp import BUNDLES, FedMVPFlags, FedMVPParams
from tests.toys import federation

pytestmark = pytest.mark.usefixtures("words")


def test_variants_set_every_flag_and_each_can_be_set_alone() -> None:
    """docs/method.md#paper-and-official-code."""
    assert set(BUNDLES["paper"]) == set(BUNDLES["official-code"]) == set(FedMVPFlags.model_fields)
    differing = {k for k in BUNDLES["paper"] if BUNDLES["paper"][k] != BUNDLES["official-code"][k]}
    assert differing == set(BUNDLES["paper"]) - {"classifier", "value_norm", "start", "depth"}
    for variant, other in (("paper", "official-code"), ("official-code", "paper")):
        for flag in differing:
            params = FedMVPParams(variant=variant, **{flag: BUNDLES[other][flag]})
            assert params.flags.model_dump() == {**BUNDLES[variant], flag: BUNDLES[other][flag]}
            assert params.resolved()[flag] == BUNDLES[other][flag]


def test_federation_of_the_official_code() -> None:
    """Uniform fp16 means and clients that keep their momentum; the user's entry wins."""

    def resolve(**section: Any) -> dict[str, Any]:
        params = method_params("fedmvp", section)
        return resolved_federation("fedmvp", params, federation()).model_dump()

    plain, official = resolve(), resolve(variant="official-code")
    assert plain == federation().model_dump()
    assert {k: official[k] for k in official if official[k] != plain[k]} == {
        "aggregation_dtype": "float16",
        "client_state": "persistent",
    }
    own = resolve(variant="official-code", federation={"client_state": "fresh"})
    assert own["client_state"] == "fresh"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"varint": "paper"}, "methods.fedmvp: varint: unknown key"),
        ({"n_prompts": 0}, "n_prompts"),
        ({"attr_bank": "labels"}, "attr_bank"),
        ({"switch_loss": float("nan")}, "switch_loss"),
    ],
)
def test_a_wrong_section_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        method_params("fedmvp", section)


def test_heads_must_divide_the_width(tiny: Backbone) -> None:
    with pytest.raises(ConfigError, match=r"not divisible.*hint: choose sizes that fit"):
        build_method("fedmvp", tiny, method_params("fedmvp", {"heads": 5}), 1)
