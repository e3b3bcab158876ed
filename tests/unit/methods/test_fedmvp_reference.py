"""FedMVP against the plain reference: prompts, logits, losses, gradients; 1e-5 in fp32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.client import ClientData
from fedmvp.methods.base import Batch
from fedmvp.methods.official_checkpoint import from_official
from tests.bridge import official_state, reference_batch, reference_classes, reference_clip
from tests.reference.encoders import embed_image
from tests.reference.fedmvp import (
    DEEP,
    OFFICIAL,
    PAPER,
    PATCHES,
    Recipe,
    class_scores,
    feature,
    frozen_feature,
    losses,
    make_prompts,
)
from tests.toys import NAMES, fedmvp, toy_bank, toy_client

pytestmark = pytest.mark.usefixtures("words")

TOLERANCE = 1e-5
VARIANTS = {"paper": PAPER, "official-code": OFFICIAL, "patches": PATCHES, "deep": DEEP}
PARAMS = {
    "paper": {"variant": "paper"},
    "official-code": {"variant": "official-code"},
    "patches": {"start": "patches"},
    "deep": {"start": "patches", "depth": 2},
}


# The variants differ in the same way on every width: of the largest, the quick suite has two.
CASES = [
    pytest.param(
        shape,
        variant,
        marks=[pytest.mark.minutes]
        if shape == "vit_b16" and variant not in ("paper", "official-code")
        else [],
    )
    for shape in ("tiny", "picto", "vit_b16")
    for variant in VARIANTS
]


def shaped_by(request: pytest.FixtureRequest, shape: str) -> Backbone:
    found: Backbone = request.getfixturevalue(shape)
    return found


def small_client(backbone: Backbone, images: int) -> ClientData:
    """Return a client with one image of each of `images` classes, among three classes."""
    data = toy_client(toy_bank(backbone), NAMES[:3], per_class=1)
    return ClientData(backbone, data.images[:images], list(range(images)), data.classes)


def difference(ours: Tensor, reference: Tensor) -> float:
    return float((ours.detach().double() - reference.detach()).abs().max())


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize(("shape", "variant"), CASES)
def test_prompts(request: pytest.FixtureRequest, shape: str, variant: str, lora: bool) -> None:
    shaped = shaped_by(request, shape)
    method, recipe = fedmvp(shaped, **PARAMS[variant]), VARIANTS[variant]
    method.promptformer.use_lora = lora
    data = small_client(shaped, 1)
    images = shaped.normalise(data.images)
    clip, classes = reference_clip(shaped), reference_classes(data.classes, method)
    with torch.no_grad():
        ours = method.prompts(images, data.classes)[0]
        patches = embed_image(images[0].double(), clip.weights, clip.sizes)[1:]
        state = official_state(method.tensors())
        reference = make_prompts(patches, classes.bank, state, recipe, lora=lora)
        other = make_prompts(patches, classes.bank, state, recipe, lora=not lora)
    assert difference(ours, reference) <= TOLERANCE
    # The test sees LoRA: without it (or with it) the prompts are others.
    assert difference(ours, other) > 100 * TOLERANCE


@pytest.mark.parametrize(("shape", "variant"), CASES)
def test_logits(request: pytest.FixtureRequest, shape: str, variant: str) -> None:
    shaped = shaped_by(request, shape)
    method, recipe = fedmvp(shaped, **PARAMS[variant]), VARIANTS[variant]
    method.enter(None)
    data = small_client(shaped, 2 if shaped.spec.vision.width < 512 else 1)
    images = shaped.normalise(data.images)
    clip, classes = reference_clip(shaped), reference_classes(data.classes, method)
    state = official_state(method.tensors())
    with torch.no_grad():
        ours = method.logits(images, data.classes)
        plain = class_scores(frozen_feature(images[0].double(), clip, flip=False), classes, clip)
        reference = []
        for image in images.double():
            v = feature(image, classes, state, recipe, clip, lora=variant != "official-code")
            reference.append(class_scores(v, classes, clip))
    assert difference(ours, torch.stack(reference)) <= TOLERANCE
    assert difference(ours[0], plain) > 100 * TOLERANCE  # prompts matter


@pytest.mark.parametrize("phase", ["promptformer", "lora"])
@pytest.mark.parametrize(("shape", "variant"), CASES)
def test_losses_and_gradients(
    request: pytest.FixtureRequest, shape: str, variant: str, phase: str
) -> None:
    backbone = shaped_by(request, shape)
    method, recipe = fedmvp(backbone, **PARAMS[variant]), VARIANTS[variant]
    method.enter(phase)
    rows = {"tiny": [1, 0, 2], "picto": [1], "vit_b16": [1]}[shape]
    data = small_client(backbone, 3)
    batch, flips = package_batch(data, rows, one_flip=variant == "official-code")
    ours = method.loss(batch, data.classes)
    tensors = method.tensors()
    trained = method.trainable(phase)
    slopes = torch.autograd.grad(ours.total, [tensors[name] for name in trained])

    leaves = {k: v.requires_grad_() for k, v in official_state(tensors).items()}
    clip, classes = reference_clip(backbone), reference_classes(data.classes, method)
    plain = reference_batch(data, rows, flips)
    reference = losses(
        plain.images,
        plain.labels,
        plain.flips,
        classes,
        leaves,
        recipe,
        clip,
        lora=phase == "lora",
    )
    assert difference(ours.total, reference.total) <= TOLERANCE
    assert difference(ours.parts["loss_ce"], reference.cross_entropy) <= TOLERANCE
    assert difference(ours.parts["loss_con"], reference.consistency) <= TOLERANCE
    wanted = dict(
        zip(
            leaves,
            torch.autograd.grad(reference.total, list(leaves.values()), allow_unused=True),
            strict=True,
        )
    )
    every = dict.fromkeys(tensors, torch.zeros(0)) | dict(zip(trained, slopes, strict=True))
    for name, slope in official_slopes(every).items():
        expected = wanted[name]
        assert expected is not None, name
        assert difference(slope, expected) <= TOLERANCE, name


def package_batch(data: ClientData, rows: list[int], *, one_flip: bool) -> tuple[Batch, list[bool]]:
    """Return a batch of `rows` and the mirrorings its generator will give."""
    generator = torch.Generator().manual_seed(11)
    draws = torch.rand(1 if one_flip else len(rows), generator=generator) < 0.5
    flips = draws.expand(len(rows)).tolist()
    return data.batch(np.array(rows), torch.Generator().manual_seed(11)), flips


def official_slopes(slopes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename gradients as tensors are renamed; untrained ones (empty) are left out."""
    return {name: slope for name, slope in official_state(slopes).items() if slope.numel()}


def test_gradients_against_finite_differences(tiny: Backbone) -> None:
    """Autograd itself, in float64: directional derivatives of every tensor."""
    method = fedmvp(tiny, variant="official-code")
    data = small_client(tiny, 1)
    clip, classes = reference_clip(tiny), reference_classes(data.classes, method)
    state = official_state(method.tensors())
    batch = reference_batch(data, [0], [True])

    def total(values: dict[str, Tensor]) -> Tensor:
        return losses(
            batch.images, batch.labels, batch.flips, classes, values, OFFICIAL, clip, lora=True
        ).total

    leaves = {name: tensor.clone().requires_grad_() for name, tensor in state.items()}
    slopes = torch.autograd.grad(total(leaves), list(leaves.values()))
    generator = torch.Generator().manual_seed(5)
    step = 1e-5
    for (name, tensor), slope in zip(state.items(), slopes, strict=True):
        direction = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            up = total({**state, name: tensor + step * direction})
            down = total({**state, name: tensor - step * direction})
        measured = float(up - down) / (2 * step)
        assert measured == pytest.approx(float((slope * direction).sum()), rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_value_norm_alone(tiny: Backbone, variant: str) -> None:
    """FedTPG normalises values too; the flag does so in either variant."""
    method = fedmvp(tiny, **PARAMS[variant], value_norm=True)
    data = small_client(tiny, 1)
    images = tiny.normalise(data.images)
    clip, classes = reference_clip(tiny), reference_classes(data.classes, method)
    recipe = replace(VARIANTS[variant], value_norm=True)
    with torch.no_grad():
        patches = embed_image(images[0].double(), clip.weights, clip.sizes)[1:]
        state = official_state(method.tensors())
        reference = make_prompts(patches, classes.bank, state, recipe, lora=False)
        assert difference(method.prompts(images, data.classes)[0], reference) <= TOLERANCE


@pytest.mark.parametrize("prompts", [1, 3, 5, 16])
def test_other_numbers_of_prompts(tiny: Backbone, prompts: int) -> None:
    """16 patches do not divide by 3 or 5: bins overlap by the floor and ceiling rule."""
    method = fedmvp(tiny, n_prompts=prompts)
    data = small_client(tiny, 1)
    images = tiny.normalise(data.images)
    clip, classes = reference_clip(tiny), reference_classes(data.classes, method)
    with torch.no_grad():
        patches = embed_image(images[0].double(), clip.weights, clip.sizes)[1:]
        state = official_state(method.tensors())
        recipe: Recipe = replace(PAPER, prompts=prompts)
        reference = make_prompts(patches, classes.bank, state, recipe, lora=False)
        assert difference(method.prompts(images, data.classes)[0], reference) <= TOLERANCE


def test_the_official_state_has_its_22_keys(backbone: Callable[..., Backbone]) -> None:
    """Shapes of docs/method.md#official-checkpoint on ViT-B/16."""
    state = official_state(fedmvp(backbone("vit_b16", layers=1), shaken=False).tensors())
    attend, forward = "crossattn.cross_attend_blocks.0", "crossattn.cross_attend_blocks.1.net"
    lora = "cross_loraparams.cross_"
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        **{f"{lora}{path}A": (768, 8) for path in ("query", "key", "value")},
        **{f"{lora}{path}B": (8, 768) for path in ("query", "key", "value")},
        f"{attend}.fn.in_proj_weight": (2304, 768),
        f"{attend}.fn.in_proj_bias": (2304,),
        f"{attend}.fn.out_proj.weight": (768, 768),
        f"{attend}.fn.out_proj.bias": (768,),
        f"{attend}.norm.weight": (768,),
        f"{attend}.norm.bias": (768,),
        f"{attend}.norm_context.weight": (768,),
        f"{attend}.norm_context.bias": (768,),
        f"{forward}.0.weight": (768,),
        f"{forward}.0.bias": (768,),
        f"{forward}.1.weight": (6144, 768),
        f"{forward}.1.bias": (6144,),
        f"{forward}.3.weight": (768, 3072),
        f"{forward}.3.bias": (768,),
        "linear.weight": (768, 512),
        "linear.bias": (768,),
    }


def test_the_importer_knows_the_same_names(tiny: Backbone) -> None:
    """The names above are written twice, here and in the code; both lead back to our tensors."""
    tensors = fedmvp(tiny).tensors()
    state = {name: tensor.float() for name, tensor in official_state(tensors).items()}
    back = from_official(state)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
