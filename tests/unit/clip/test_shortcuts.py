"""Every shortcut gives what the plain computation gives, and can be switched off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.clip.shortcuts import Shortcuts, compile_wanted
from fedmvp.errors import ConfigError
from fedmvp.federation.client import ClientData
from tests.random_clip import random_backbone
from tests.toys import NAMES, fedmvp, toy_bank, toy_client

pytestmark = pytest.mark.usefixtures("words")
NAMED = [field.name for field in fields(Shortcuts)]


def changed(shortcuts: Shortcuts) -> Backbone:
    """Return the tiny backbone with other shortcuts."""
    model = random_backbone("tiny")
    return Backbone.from_state(model.spec, model.state_dict(), shortcuts=shortcuts)


def step(backbone: Backbone, phase: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss and gradients of a FedMVP step."""
    method = fedmvp(backbone)
    method.enter(phase)
    data = toy_client(toy_bank(backbone), NAMES[:4])
    batch = data.batch(np.arange(len(data)), torch.Generator().manual_seed(5))
    names = method.trainable(phase)
    own = method.tensors()
    loss = method.loss(batch, data.classes).total
    gradients = torch.autograd.grad(loss, [own[name] for name in names])
    return loss.detach(), dict(zip(names, gradients, strict=True))


@pytest.mark.parametrize("phase", ["promptformer", "lora"])
@pytest.mark.parametrize("name", NAMED)
def test_a_training_step_does_not_depend_on_a_shortcut(name: str, phase: str) -> None:
    loss, gradients = step(changed(replace(Shortcuts(), **{name: False})), phase)
    expected_loss, expected = step(changed(Shortcuts()), phase)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.slow
def test_a_training_step_does_not_depend_on_compiling() -> None:
    """Nor does an evaluation; another batch is another shape."""
    compiled, plain = changed(Shortcuts()), changed(Shortcuts())
    compiled.compile_blocks()
    loss, gradients = step(compiled, "promptformer")
    expected_loss, expected = step(plain, "promptformer")
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-5)
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-4, atol=1e-5, msg=key)
    size = plain.spec.vision.image_size
    for batch in (2, 5):
        images = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(batch))
        torch.testing.assert_close(
            compiled.frozen_features([images]), plain.frozen_features([images]), rtol=0, atol=1e-5
        )
    assert compiled.identity != plain.identity
    counters = torch._dynamo.utils.counters["frames"]  # else nothing was compiled
    assert counters["ok"] > 0


def test_compiling_is_asked_for_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for word, wanted in {"": False, "0": False, "1": True}.items():
        monkeypatch.setenv("FEDMVP_COMPILE", word)
        assert compile_wanted() is wanted
    monkeypatch.setenv("FEDMVP_COMPILE", "yes")
    with pytest.raises(ConfigError, match=r"FEDMVP_COMPILE.*'yes'.*use 0 or 1"):
        compile_wanted()


def test_the_first_block_keeps_no_graph_of_the_image() -> None:
    """What the shortcut is for: fewer rows go through the backward pass of block 0."""
    saved = {}
    for taken in (True, False):
        rows = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal rows
            rows += tensor.numel()
            return tensor

        vision = changed(Shortcuts(first_block=taken)).vision
        size = random_backbone("tiny").spec.vision.image_size
        embedded = vision.embed(torch.zeros(2, 3, size, size))
        prompts = torch.zeros(2, 3, embedded.shape[-1], requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            vision(embedded, prompts)
        saved[taken] = rows
    assert saved[True] < saved[False]


def test_views_of_a_client_are_computed_once_for_all_seeds(
    backbone: Callable[..., Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDMVP_CACHE", str(tmp_path))
    tiny = backbone("tiny")
    first = toy_client(toy_bank(tiny), NAMES[:2])
    flips = torch.arange(len(first)) % 2 == 0

    def views(key: str | None) -> Tensor:
        data = ClientData(tiny, first.images, first.labels.numpy(), first.classes, chunk=4, key=key)
        return data.batch(np.arange(len(data)), torch.Generator()).frozen(flips)

    expected = views(None)
    torch.testing.assert_close(views("some"), expected, rtol=0, atol=0)
    monkeypatch.setattr(Backbone, "frozen_features", None)
    torch.testing.assert_close(views("some"), expected, rtol=0, atol=0)
    with pytest.raises(TypeError):
        views("others")


def test_the_environment_switches_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDMVP_PLAIN", raising=False)
    assert Shortcuts.from_environment() == Shortcuts()
    monkeypatch.setenv("FEDMVP_PLAIN", "first_block, disk_cache")
    assert Shortcuts.from_environment() == Shortcuts(first_block=False, disk_cache=False)
    monkeypatch.setenv("FEDMVP_PLAIN", "all")
    assert Shortcuts.from_environment() == Shortcuts(**dict.fromkeys(NAMED, False))
    monkeypatch.setenv("FEDMVP_PLAIN", "fast")
    with pytest.raises(ConfigError, match="FEDMVP_PLAIN"):
        Shortcuts.from_environment()
