"""Every shortcut gives what the plain computation gives, and can be switched off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.federation.client import ClientData, ClientState, train_client
from fedmvp.federation.optimizers import OPTIMIZERS
from fedmvp.shortcuts import Shortcuts, compile_wanted
from tests.random_clip import WordTokenizer, random_backbone
from tests.toys import NAMES, federation, fedmvp, toy_bank, toy_client

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


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_rounded_once_are_those_autocast_makes(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def results(once: bool) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        monkeypatch.setenv("FEDMVP_CACHE", str(tmp_path / str(once)))
        whole = random_backbone("tiny")
        model = Backbone.from_state(whole.spec, whole.state_dict(), precision=precision)
        if not once:
            model = Backbone(whole.spec, precision=precision)
            model.load_state_dict(whole.state_dict())
        rounded = model.text.transformer.resblocks[0].mlp.c_fc.weight.dtype != torch.float32
        assert rounded is once
        return *step(model, "promptformer"), model.encode_texts(["a kite", "a tram"])

    torch.testing.assert_close(results(True), results(False), rtol=0, atol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fused_steps_are_those_taken_tensor_by_tensor(optimizer: str, momentum: float) -> None:
    params = federation(client_optimizer=optimizer, momentum=momentum, weight_decay=0.1)
    found = []
    for fused in (True, False):
        draw = torch.Generator().manual_seed(1)
        tensors = {name: torch.randn(3, 5, generator=draw) for name in ("a", "b")}
        state: dict[str, Tensor] = {}
        for names in (["a"], ["a", "b"], ["b"], ["a", "b"]):
            gradients = {name: torch.randn(5, 3, generator=draw).T for name in names}
            OPTIMIZERS[optimizer](tensors, gradients, state, params, 0.01, fused=fused)
        found.append((tensors, state))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)


def test_a_client_steps_tensor_by_tensor_where_fused_steps_are_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def update(fused: bool) -> dict[str, Tensor]:
        model = changed(replace(Shortcuts(), fused_steps=fused))
        method, data = fedmvp(model), toy_client(toy_bank(model), NAMES[:4])
        start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
        return dict(
            train_client(
                method,
                "c",
                data,
                start,
                ClientState(method.first_phase),
                federation(),
                learning_rate=1e-3,
                seed=1,
                round_index=0,
            ).tensors
        )

    kernels = []
    fused_sgd = torch._fused_sgd_

    def counted(*parts: object, **options: object) -> None:
        kernels.append(1)
        fused_sgd(*parts, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "_fused_sgd_", counted)
    expected = update(True)
    fused = len(kernels)
    torch.testing.assert_close(update(False), expected, rtol=1e-5, atol=1e-6)
    assert fused > 0
    assert len(kernels) == fused


def test_texts_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = []

    def encoded(model: Backbone, texts: Sequence[str]) -> Tensor:
        lists.append(texts)
        return torch.zeros(len(texts), model.spec.embed_dim)

    monkeypatch.setattr(Backbone, "encode_texts", encoded)
    for once, expected in ((True, 1), (False, 2)):
        lists.clear()
        classes = toy_bank(changed(Shortcuts(texts_once=once))).select(NAMES[:2])
        for _ in range(2):
            classes.features("sentences")
        assert len(lists) == expected


def test_texts_of_like_length_are_encoded_together() -> None:
    """In chunks of one, two and three words instead of up to three in each."""
    texts = [f"a {word}" for word in NAMES[1:4]] + ["a very long one"] * 3
    ids = WordTokenizer(77)(texts * 2)
    found, sizes = [], []
    for like in (True, False):
        tower = changed(Shortcuts(like_lengths=like)).text
        widths: list[int] = []
        tower.register_forward_pre_hook(lambda _, given, w=widths: w.append(given[0].shape[1]))
        found.append(tower.features(ids, chunk=6))
        sizes.append(sum(widths))
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)
    assert sizes[0] < sizes[1]


@pytest.mark.minutes
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


@pytest.mark.parametrize("name", ["last_block", "like_lengths"])
def test_features_that_round_differently_are_kept_apart(name: str) -> None:
    assert changed(replace(Shortcuts(), **{name: False})).identity != changed(Shortcuts()).identity


def test_the_environment_switches_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDMVP_PLAIN", raising=False)
    assert Shortcuts.from_environment() == Shortcuts()
    monkeypatch.setenv("FEDMVP_PLAIN", "first_block, pool_first")
    assert Shortcuts.from_environment() == Shortcuts(first_block=False, pool_first=False)
    monkeypatch.setenv("FEDMVP_PLAIN", "all")
    assert Shortcuts.from_environment() == Shortcuts(**dict.fromkeys(NAMED, False))
    monkeypatch.setenv("FEDMVP_PLAIN", "fast")
    with pytest.raises(ConfigError, match="FEDMVP_PLAIN"):
        Shortcuts.from_environment()
