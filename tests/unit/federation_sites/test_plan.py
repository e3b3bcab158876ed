"""What is agreed on, what is refused before a site is asked, and how a difference is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.federation.plan import (
    Plan,
    describe,
    load_plan,
    require_agreement,
    require_possible,
    save_plan,
)
from fedmvp.methods import METHODS
from fedmvp.methods.build import load_method
from tests.unit.federation_sites.loopback import plan_of

pytestmark = pytest.mark.usefixtures("words")


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_possible_or_refused_by_name(tiny: Backbone, name: str) -> None:
    """By what it declares; a possible one needs no class to be made and served."""
    kind = load_method(name)
    plan = plan_of(tiny, name).model_copy(update={"forwards_updates": False})
    if not kind.trained or kind.forwards_updates:
        with pytest.raises(ConfigError, match=f"plan toy: method: .*got '{name}'.*hint: "):
            require_possible(plan)
        if kind.trained:
            require_possible(plan_of(tiny, name))  # where all sites agree
        return
    require_possible(plan)
    method = plan.create(tiny)
    server = method.server(4)
    sent = {key: tensor.detach() for key, tensor in method.tensors().items()}
    start = {key: sent[key] for key in method.communicated(method.first_phase)}
    for client in plan.clients:
        # Nobody is sent what a single other one sent.
        assert server.download(client) == {}
        server.receive(client, start)
    server.end_round(sent, 0)
    assert server.download("alpha") == {}
    assert server.evaluated(sent, 0).keys() == sent.keys()


def test_the_methods_are_of_each_kind() -> None:
    kinds = [load_method(name) for name in METHODS]
    assert {(kind.trained, kind.forwards_updates) for kind in kinds} == {
        (True, False),
        (True, True),
        (False, False),
    }


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"min_clients": 4}, r"federation.min_clients: more than the 3 sites there are; got 4"),
        ({"aggregation": "krum"}, r"cannot withstand 1 wrong of 3 clients a round"),
    ],
)
def test_rules_that_three_sites_cannot_keep(
    tiny: Backbone, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        require_possible(plan_of(tiny, "promptfl", **changes))


def test_privacy_of_averages_is_no_use_where_updates_are_forwarded(tiny: Backbone) -> None:
    privacy = {"clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    with pytest.raises(ConfigError, match="pfedmoap sends single clients' tensors"):
        require_possible(plan_of(tiny, "pfedmoap", privacy=privacy))


def test_a_plan_comes_back_as_it_was(tiny: Backbone, tmp_path: Path) -> None:
    plan = plan_of(tiny, "fedmvp", {"switch_loss": 2.0}, aggregation="fedadam")
    save_plan(tmp_path / "plan.json", plan)
    again = load_plan(tmp_path / "plan.json")
    assert again == plan
    one, two = plan.create(tiny).tensors(), again.create(tiny).tensors()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "../x"}, r"plan.json: name: "),
        ({"clients": ["a", "a"]}, r"clients names a site twice"),
        ({"clients": []}, r"clients: "),
        ({"backbone": {"sha256": "no"}}, r"backbone.sha256: "),
        ({"codes": "import os"}, r"unknown key"),
    ],
)
def test_a_wrong_plan_is_named(
    tiny: Backbone, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    from fedmvp.files import write_json

    value = plan_of(tiny, "promptfl").model_dump(mode="json") | changes
    write_json(tmp_path / "plan.json", value)
    with pytest.raises(ConfigError, match=text):
        load_plan(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("run", {"name": "other"}),
        ("method", {"section": {"n_context": 5}}),
        ("method", {"method": "fedkgcoop"}),
        ("seed", {"seed": 2}),
        ("clients", {"clients": ("beta", "alpha", "gamma")}),
        ("forwards_updates", {"forwards_updates": False}),
    ],
)
def test_a_differing_field_is_named(tiny: Backbone, field: str, changes: dict[str, Any]) -> None:
    plan = plan_of(tiny, "promptfl")
    ours = describe(plan, "1" * 64)
    require_agreement(ours, dict(ours), "beta")
    theirs = describe(Plan.model_validate({**plan.model_dump(), **changes}), "1" * 64)
    with pytest.raises(ConfigError, match=f"^site beta: {field} differs from the server's"):
        require_agreement(ours, theirs, "beta")


def test_other_weights_and_versions_are_named(tiny: Backbone) -> None:
    plan = plan_of(tiny, "promptfl")
    ours = describe(plan, "1" * 64)
    with pytest.raises(ConfigError, match=r"backbone differs.*weights of this CLIP"):
        require_agreement(ours, describe(plan, "2" * 64), "beta")
    with pytest.raises(ConfigError, match=r"package differs.*got '0.0.0'; hint: install"):
        require_agreement(ours, ours | {"package": "0.0.0"}, "beta")
    with pytest.raises(ConfigError, match="federation differs"):
        other = plan_of(tiny, "promptfl", learning_rate=0.5)
        require_agreement(ours, describe(other, "1" * 64), "beta")
    with pytest.raises(ConfigError, match=r"extra differs from the server's, none"):
        require_agreement(ours, ours | {"extra": "x"}, "beta")
