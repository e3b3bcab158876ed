"""Known values of FedPGP, PromptFolio, FedPHA, FedPromptSRC, FedProGrad and FedPLOT."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ClientFailure
from fedmvp.federation.client import ClientState, train_client
from fedmvp.methods.base import Batch, Method
from fedmvp.methods.fedpgp import FedPGP, contrast
from fedmvp.methods.fedpha import FedPHA, push, weak_directions
from fedmvp.methods.fedplot import FedPLOT
from fedmvp.methods.fedprograd import agreeing
from fedmvp.methods.fedpromptsrc import FedPromptSRC, GaussianAverage, round_weights
from fedmvp.methods.promptfolio import PromptFolio
from fedmvp.methods.transport import patch_features
from tests.toys import NAMES, federation, shake, toy_bank, toy_client
from tests.unit.baselines.started import create, gradients

pytestmark = pytest.mark.usefixtures("words")


def directions(*cosines: float) -> tuple[Tensor, Tensor]:
    """Return unit vectors with a cosine to the first axis, and that axis for each."""
    rows = [[c, math.sqrt(1 - c * c)] for c in cosines]
    return torch.tensor(rows, dtype=torch.float64), torch.tensor([[1.0, 0.0]] * len(rows)).double()


@torch.no_grad()
def scores(method: Method, backbone: Backbone) -> Tensor:
    data = toy_client(toy_bank(backbone), NAMES[:4], per_class=1)
    return method.logits(backbone.normalise(data.images), data.classes)


def put(method: Method, **tensors: Tensor) -> None:
    with torch.no_grad():
        for name, tensor in tensors.items():
            method.tensors()[name].copy_(tensor)


@pytest.mark.parametrize(
    ("near", "far", "expected"),
    [
        (0.8, 1.0, 0.9130),
        (1.0, 1.0, math.log(2)),
        (1.0, -1.0, 0.01815),
    ],
)
def test_pgp_contrast(near: float, far: float, expected: float) -> None:
    anchor, shared = directions(near)
    own, _ = directions(far)
    assert float(contrast(anchor, shared, own, 0.5)) == pytest.approx(expected, abs=5e-5)


def test_pgp_without_its_personal_part_is_promptfl(tiny: Backbone) -> None:
    """Bit for bit, with n = 16: the same context gives the same logits, loss and gradient."""
    plain = create("promptfl", tiny, n_context=16)
    method = create("fedpgp", tiny, contrast_weight=0.0)
    assert isinstance(method, FedPGP)
    put(method, context=plain.tensors()["context"], factor_u=torch.zeros(16, 8))
    assert torch.equal(scores(method, tiny), scores(plain, tiny))
    (total, slopes), (other, others) = gradients(method, tiny), gradients(plain, tiny)
    assert torch.equal(total, other)
    assert torch.equal(slopes[0], others[0])


def test_pgp_personal_part_has_a_low_rank(tiny: Backbone) -> None:
    method = create("fedpgp", tiny, bottleneck=3)
    assert isinstance(method, FedPGP)
    part = (method.own_context() - method.context).detach().double()
    assert int(torch.linalg.matrix_rank(part, atol=1e-7)) == 3


def test_pgp_classes_stay_as_many_as_they_are(tiny: Backbone) -> None:
    """Several contexts would widen the logits; there is one, and no entry for more."""
    assert scores(create("fedpgp", tiny), tiny).shape == (4, 4)


def test_folio_mixes_without_normalising(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    method = create("promptfolio", tiny)
    assert isinstance(method, PromptFolio)
    axes = torch.eye(2)
    answers = iter([axes[:1], axes[1:], axes[:1], axes[:1]])
    monkeypatch.setattr(method.texts, "remembered", lambda *parts: next(answers))
    classes = toy_bank(tiny).select(NAMES[:1])
    assert float(method.text_features(classes).norm()) == pytest.approx(0.7211, abs=5e-5)
    assert torch.allclose(method.text_features(classes), axes[:1])  # where both agree


@pytest.mark.parametrize(("share", "context"), [(0.0, "global_context"), (1.0, "local_context")])
def test_folio_of_one_part_is_promptfl(tiny: Backbone, share: float, context: str) -> None:
    method = create("promptfolio", tiny, local_share=share)
    plain = create("promptfl", tiny, n_context=16)
    put(plain, context=method.tensors()[context])
    assert torch.equal(scores(method, tiny), scores(plain, tiny))


def test_pha_push() -> None:
    """Active where the cosine is above one half: ‖Δ‖ < 1."""
    own, shared = directions(1.0, 0.51, 0.49, 0.0)
    each = [float(push(a[None], b[None], 1.0)) for a, b in zip(own, shared, strict=True)]
    assert each[0] == 1
    assert each[1] == pytest.approx(1 - math.sqrt(2 - 2 * 0.51))
    assert each[2:] == [0, 0]
    assert float(push(own, shared, 1.0)) == pytest.approx(sum(each) / 4)


@pytest.mark.parametrize(("n", "cut"), [(4, 0), (8, 1), (16, 3), (32, 6), (5, 1)])
def test_pha_leaves_out_the_strongest_directions(n: int, cut: int) -> None:
    context = torch.randn(n, 48, generator=torch.Generator().manual_seed(1))
    basis = weak_directions(context, 0.8)
    assert basis.shape == (48, n - cut)
    # Inside the row space: projecting on all of it changes nothing.
    whole = weak_directions(context, 1.0)
    assert torch.allclose(context @ whole @ whole.T, context, atol=1e-5)
    assert torch.allclose(whole @ (whole.T @ basis), basis, atol=1e-5)
    # So a context orthogonal to this one is projected to zero: no null space.
    other = torch.randn(n, 48, generator=torch.Generator().manual_seed(2))
    other = other - other @ whole @ whole.T
    assert float((other @ basis @ basis.T).abs().max()) < 1e-5


def test_pha_gradient_does_not_pass_through_equal_singular_values(tiny: Backbone) -> None:
    method = create("fedpha", tiny)
    assert isinstance(method, FedPHA)
    put(method, global_context=0.02 * torch.eye(16, 48))
    _, slopes = gradients(method, tiny)
    assert all(bool(slope.isfinite().all()) for slope in slopes)


def test_pha_of_equal_contexts_has_a_gradient(tiny: Backbone) -> None:
    method = create("fedpha", tiny)
    put(method, local_context=method.tensors()["global_context"])
    _, slopes = gradients(method, tiny)
    assert all(bool(slope.isfinite().all()) for slope in slopes)


def test_pha_classifies_with_its_own_context_alone(tiny: Backbone) -> None:
    method = create("fedpha", tiny)
    before = scores(method, tiny)
    put(method, global_context=torch.ones(16, 48))
    assert torch.equal(scores(method, tiny), before)


def test_src_average_has_the_published_weights() -> None:
    """Mean 15 and deviation 1 of 20 epochs, whatever the number of rounds."""
    weights = round_weights(20, 0.75, 0.05)
    middle = [0.0044, 0.0540, 0.2420, 0.3989, 0.2420, 0.0540, 0.0044]
    assert weights[11:18] == pytest.approx(middle, abs=5e-5)
    for rounds in (1, 2, 3, 7, 500):
        assert sum(round_weights(rounds, 0.75, 0.05)) == pytest.approx(1)
    assert round_weights(1, 0.75, 0.05) == [1.0]
    assert max(range(40), key=round_weights(40, 0.75, 0.05).__getitem__) == 29


def test_src_average_of_the_same_is_the_same() -> None:
    tensors = {"w": torch.randn(50, generator=torch.Generator().manual_seed(1))}
    server = GaussianAverage(round_weights(7, 0.75, 0.05))
    for index in range(7):
        server.end_round(tensors, index)
    assert torch.equal(server.evaluated(tensors, 6)["w"], tensors["w"])


def test_src_of_frozen_features_is_cross_entropy(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = create("fedpromptsrc", tiny, templates=["a photo of a {}."])
    assert isinstance(method, FedPromptSRC)
    data = toy_client(toy_bank(tiny), NAMES[:4], per_class=1)
    images = tiny.normalise(data.images)
    features = tiny.frozen_features([images])
    monkeypatch.setattr(method, "image_features", lambda _: features)
    monkeypatch.setattr(method, "text_features", lambda classes: classes.single("template"))
    batch = Batch(images, data.labels, lambda flips: features, torch.Generator())
    loss = method.loss(batch, data.classes)
    assert float(loss.parts["loss_con"]) == pytest.approx(0, abs=1e-6)
    assert float(loss.total) == pytest.approx(float(loss.parts["loss_ce"]), abs=1e-6)


@pytest.mark.parametrize(
    ("own", "general", "weight", "expected"),
    [
        ([1.0, 0.0], [-1.0, 1.0], 1.0, [0.5, 0.5]),
        ([1.0, 0.0], [-1.0, 1.0], 0.5, [0.75, 0.25]),
        ([1.0, 0.0], [1.0, 1.0], 1.0, [1.0, 0.0]),
        ([1.0, 2.0], [0.0, 0.0], 1.0, [1.0, 2.0]),
        ([1e-20, 0.0], [-1e-20, 1e-20], 1.0, [5e-21, 5e-21]),
    ],
)
def test_prograd_projection(
    own: list[float], general: list[float], weight: float, expected: list[float]
) -> None:
    found = agreeing(torch.tensor(own), torch.tensor(general), weight)
    assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-30)


def test_prograd_step_never_contradicts_zero_shot(tiny: Backbone) -> None:
    """The loss has the value of cross-entropy and a gradient that is not its own."""
    plain, method = create("promptfl", tiny), create("fedprograd", tiny)
    shake(method, 0.5)
    put(plain, context=method.tensors()["context"])
    method.texts.opening = plain.texts.opening  # type: ignore[attr-defined]
    (total, (step,)), (other, (slope,)) = gradients(method, tiny), gradients(plain, tiny)
    assert torch.equal(total, other)
    free, (own,) = gradients(_free(tiny, method), tiny)
    assert torch.equal(free, other)
    assert torch.equal(own, slope)
    assert not torch.equal(step, slope)


def _free(tiny: Backbone, method: Method) -> Method:
    """Return the method with projection switched off, at the same context."""
    free = create("fedprograd", tiny, projection_weight=0.0)
    put(free, context=method.tensors()["context"])
    free.texts.opening = method.texts.opening  # type: ignore[attr-defined]
    return free


def test_plot_with_one_prompt_is_the_mean_similarity(tiny: Backbone) -> None:
    method = create("fedplot", tiny, n_prompts=1)
    assert isinstance(method, FedPLOT)
    data = toy_client(toy_bank(tiny), NAMES[:4], per_class=1)
    images = tiny.normalise(data.images)
    with torch.no_grad():
        tokens = patch_features(tiny, images)
        texts = method.text_features(data.classes)[:, 0]
        expected = tiny.scale * tokens.mean(dim=1) @ texts.T
        assert torch.allclose(method.logits(images, data.classes), expected, atol=1e-4)


def test_plot_is_finite_where_its_kernel_is_not(tiny: Backbone) -> None:
    """exp(-1/0.001) is zero even in float64; rows of zeros would be divided by."""
    assert bool(scores(create("fedplot", tiny, epsilon=0.001), tiny).isfinite().all())


def test_plot_says_what_is_not_a_number(tiny: Backbone) -> None:
    method = create("fedplot", tiny)
    put(method, contexts=torch.full((4, 16, 48), torch.nan))
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    with pytest.raises(ClientFailure, match="loss is not finite"):
        train_client(
            method,
            "c",
            toy_client(toy_bank(tiny), NAMES[:4]),
            start,
            ClientState("all"),
            federation(),
            learning_rate=0.01,
            seed=1,
            round_index=0,
        )
