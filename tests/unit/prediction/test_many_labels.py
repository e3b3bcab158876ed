"""Predictions of a head for many labels: tiles, probabilities, attention put together."""

from __future__ import annotations

import numpy as np
import pytest

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.build import build_method, method_params
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.prediction.assembly import assemble, multilabel_of
from fedmvp.prediction.candidates import Candidates
from fedmvp.prediction.predictor import Predictor, independent
from tests.toys import NAMES, attributes_of

pytestmark = pytest.mark.usefixtures("words")


def test_tiles_are_seen_and_probabilities_stand_for_themselves(tiny: Backbone) -> None:
    head = MultiLabelParams(head="tiles")
    params = method_params("fedmvp", {})
    trained = build_method("fedmvp", tiny, params, 1, head)
    tensors = {name: tensor.detach().clone() for name, tensor in trained.tensors().items()}
    run = {"params": {"multilabel": head.model_dump(mode="json")}}
    method = assemble(
        "fedmvp", tiny, params, tensors, seed=1, where=None, multilabel=multilabel_of(run)
    )
    candidates = Candidates(
        dataset="toys",
        classes=NAMES[:4],
        template="a photo of a {}.",
        prefix="a photo of a",
        suffix="",
        attributes=attributes_of(NAMES[:4]),
    )
    predictor = Predictor(method, candidates)
    side = tiny.spec.vision.image_size
    assert predictor.image_size_px == 2 * side
    images = np.random.default_rng(1).integers(0, 256, (3, 2 * side, 2 * side, 3), dtype=np.uint8)
    logits = predictor.predict(images, batch_size=2)
    shares = independent(logits)
    assert logits.shape == (3, 4) and ((shares > 0) & (shares < 1)).all()
    assert np.allclose(np.log(shares / (1 - shares)), logits, atol=1e-6)
    attended = predictor.attended(images[0])
    rows, columns = tiny.spec.vision.grid
    assert attended.grid == (2 * rows, 2 * columns)
    assert attended.weights.shape[0] == 4 * rows * columns
    # The first tile's first row of patches, then the second tile's.
    own = predictor.attended(images[0]).weights[: 2 * columns]
    assert np.allclose(own.sum(axis=1), 1, atol=1e-4)


def test_a_run_of_one_class_has_no_head() -> None:
    assert multilabel_of({"params": {}}) is None
