"""What a site does with jobs: its own checks and limits, and nothing of its own in an answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save

from fedmvp.clip.backbone import Backbone, save_backbone
from fedmvp.errors import ConfigError, DataError, FedMVPError
from fedmvp.federation.failures import Failure
from fedmvp.federation.messages import DescribeJob, Description, Refusal, TrainJob, TrainReply
from fedmvp.federation.site import Site
from fedmvp.federation.wire import decode, encode
from fedmvp.files import sha256_bytes
from tests.unit.federation_sites.loopback import CLASSES, Loopback, make_site, plan_of

pytestmark = pytest.mark.usefixtures("words")

#: What must not be found in anything that leaves a site.
CANARIES = [name.encode() for names in CLASSES.values() for name in names]
CANARIES += [b"canary", b"secretfolder", b"secretfile", b"attributes.json", b"mark", b".png"]


@pytest.fixture
def loopback(tiny: Backbone, tmp_path: Path) -> Loopback:
    entries = {"client_state": "persistent", "on_client_failure": "skip"}
    return Loopback(tmp_path, tiny, plan_of(tiny, "promptfl", **entries))


def job_of(loopback: Loopback, **changes: Any) -> TrainJob:
    tensors = {n: t.detach() for n, t in loopback.plan.create(loopback.backbone).tensors().items()}
    return replace(TrainJob("toy", "alpha", 0, 0, 0.01, tensors, {}), **changes)


def answer(loopback: Loopback, content: bytes) -> TrainReply | Refusal | Description:
    site = loopback.sites["alpha"]
    loopback.wire.append(site.handle(content))
    kinds = (TrainReply, Refusal, Description)
    return decode(loopback.wire[-1], kinds, site.shapes, limit=10**9, where="reply")


def error(loopback: Loopback, content: bytes) -> str:
    found = answer(loopback, content)
    assert isinstance(found, Refusal)
    return found.error


def leaks(loopback: Loopback) -> list[bytes]:
    secrets = [*CANARIES, str(loopback.folder).encode(), loopback.folder.name.encode()]
    return [secret for secret in secrets for sent in loopback.wire if secret in sent]


def spoil_image(loopback: Loopback) -> None:
    path = loopback.folder / f"alpha/secretfolder/train/{CLASSES['alpha'][0]}/secretfile0.png"
    path.write_bytes(b"no image")


def remove_class(loopback: Loopback) -> None:
    for path in (loopback.folder / "alpha/secretfolder/train").rglob("*.png"):
        path.unlink()


def forget_texts(loopback: Loopback) -> None:
    path = loopback.folder / "alpha/attributes.json"
    path.write_text(path.read_text().replace(CLASSES["alpha"][1], "renamed"), encoding="utf-8")


def cut_texts(loopback: Loopback) -> None:
    (loopback.folder / "alpha/attributes.json").write_text('{"secretfile')


def no_states(loopback: Loopback) -> None:
    (loopback.folder / "alpha/states").write_text("a file where a folder should be")


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (spoil_image, "DataError"),
        (remove_class, "DataError"),
        (forget_texts, "AttributeTextError"),
        (cut_texts, "DataError"),
        (no_states, "NotADirectoryError"),
    ],
)
def test_an_error_at_a_site_says_nothing_of_it(
    loopback: Loopback, spoil: Callable[[Loopback], None], kind: str, cache: Path
) -> None:
    """The site's log has all of it; the server hears its kind and where in our code it was."""
    spoil(loopback)
    found = answer(loopback, encode(job_of(loopback)))
    assert isinstance(found, Refusal)
    assert found.error.startswith(f"{kind}: see the site's own log")
    assert "site.py" in found.trace and "/" not in found.trace
    assert not leaks(loopback)
    assert kind in "".join(loopback.log)


def test_nothing_of_a_site_is_in_what_it_sends_when_all_goes_well(loopback: Loopback) -> None:
    backend = loopback.server()
    start = dict(job_of(loopback).tensors)
    assert list(backend.run(start, loopback.plan.clients, 0, 0.01))
    assert backend.describe(loopback.sites["beta"].describe(), loopback.plan.clients) == ({}, {})
    counts = backend.evaluate(start, loopback.plan.clients, {})
    assert counts.sites.keys() == CLASSES.keys()
    assert len(loopback.wire) == 9
    assert not leaks(loopback)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"run": "other"}, "is for another federation"),
        ({"client": "beta"}, "is for another client"),
        ({"tensors": {}}, "lacks some of the method's tensors"),
        ({"learning_rate": 1e9}, r"learning rate 0.01 in this one; got 1000000000.0"),
        ({"round_index": 4}, "the plan has 4 rounds"),
        ({"since": 3}, "names a later round"),
        ({"round_index": 2, "since": 1}, "no state from before round 1"),
    ],
)
def test_a_job_that_is_not_of_the_plan_trains_nothing(
    loopback: Loopback, changes: dict[str, Any], text: str
) -> None:
    found = error(loopback, encode(job_of(loopback, **changes)))
    assert re.search(text, found), found
    assert not (loopback.folder / "alpha/states/toy").exists()
    # And the site is there for the next one.
    assert isinstance(answer(loopback, encode(job_of(loopback))), TrainReply)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "message to site: cannot be read"),
        (b"x" * 10_000_000, "has 10,000,000 bytes, more than any such message"),
        (save({"tensors/x": torch.zeros(1)}, metadata={}), "not in this version's format"),
    ],
)
def test_any_bytes_are_answered(loopback: Loopback, content: bytes, text: str) -> None:
    assert text in error(loopback, content)


def test_tensors_that_are_not_the_methods_are_refused(loopback: Loopback) -> None:
    job = job_of(loopback)
    name = next(iter(job.tensors))
    bad = {**job.tensors, name: torch.full_like(job.tensors[name], torch.nan)}
    assert "values that are not finite" in error(loopback, encode(replace(job, tensors=bad)))
    extra = {"os.system": torch.zeros(1)}
    assert "not one of the method's" in error(loopback, encode(replace(job, extra=extra)))


def test_a_site_describes_what_it_would_train_with(loopback: Loopback) -> None:
    found = answer(loopback, encode(DescribeJob("toy", "alpha", 0)))
    assert isinstance(found, Description)
    assert found.fields == loopback.sites["beta"].describe()
    entries = {"client_state": "persistent", "on_client_failure": "skip"}
    loopback.sites["beta"].plan = plan_of(loopback.backbone, "fedvpt", **entries)
    backend = loopback.server()
    silent, differing = backend.describe(found.fields, loopback.plan.clients)
    assert (silent, list(differing)) == ({}, ["beta"])
    assert differing["beta"].startswith("site beta: method differs from the server's")
    loopback.absent = lambda client, number: client == "gamma"
    silent, differing = loopback.server().describe(found.fields, loopback.plan.clients)
    assert (silent, list(differing)) == ({"gamma": "site gamma is away"}, ["beta"])


def test_metrics_that_a_site_keeps_do_not_leave(tiny: Backbone, tmp_path: Path) -> None:
    entries = {"share": {"metrics": ["accuracy"], "evaluation": True}}
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl"), entries)
    found = answer(loopback, encode(job_of(loopback)))
    assert isinstance(found, TrainReply)
    assert list(found.metrics) == ["accuracy"]


def test_under_differential_privacy_nothing_leaves_that_epsilon_does_not_cover(
    tiny: Backbone, tmp_path: Path
) -> None:
    privacy = {"clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl", privacy=privacy))
    found = answer(loopback, encode(job_of(loopback)))
    assert isinstance(found, TrainReply)
    assert found.metrics == {}
    counts = loopback.server().evaluate(job_of(loopback).tensors, loopback.plan.clients, {})
    assert counts.groups == {}
    assert counts.withheld == {client: ["all"] for client in CLASSES}


def test_an_update_beyond_the_sites_norm_stays(tiny: Backbone, tmp_path: Path) -> None:
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl"), {"max_update_norm": 1e-4})
    found = error(loopback, encode(job_of(loopback)))
    assert found.startswith("ClientFailure: outgoing update of client alpha: norm is ")
    assert "max_update_norm" in found


def test_a_site_with_few_images_stays_out(tiny: Backbone, tmp_path: Path) -> None:
    entries = {"minimum": {"images": 10, "group": 3}}
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl"), entries)
    assert error(loopback, encode(job_of(loopback))).startswith("DataError: see the site's own")
    assert any("too few images to train on; got 9" in line for line in loopback.log)


class Opened:
    """A site's folder with a CLIP of its own in it."""

    def __init__(self, folder: Path, tiny: Backbone) -> None:
        weights = save({key: value.contiguous() for key, value in tiny.state_dict().items()})
        spec = tiny.spec.model_copy(update={"tower_sha256": sha256_bytes(weights)})
        save_backbone(folder / "alpha/clip", spec, weights)
        self.folder = folder
        self.config = make_site(folder / "alpha", "alpha", tiny)
        plan = plan_of(tiny, "promptfl").model_dump()
        self.plan = type(plan_of(tiny, "promptfl")).model_validate(
            plan | {"backbone": {"sha256": spec.tower_sha256}}
        )

    def __call__(self, **changes: Any) -> Site:
        config = self.config.model_copy(update=changes)
        return Site.open(config, self.plan, self.folder / "states", lambda text: None)


def test_a_site_is_opened_from_its_files(tiny: Backbone, tmp_path: Path) -> None:
    site = Opened(tmp_path, tiny)()
    assert len(site.data.client.train) == 9
    start = {name: tensor.detach().clone() for name, tensor in site.method.tensors().items()}
    assert not isinstance(site.train(TrainJob("toy", "alpha", 0, 0, 0.01, start, {})), Failure)


def test_a_rehearsal_sends_and_keeps_nothing(tiny: Backbone, tmp_path: Path) -> None:
    """It is the first round: the same bytes, which a real one then starts from anew."""
    plan = plan_of(tiny, "fedotp", client_state="persistent")
    loopback = Loopback(tmp_path, tiny, plan, {"share": {"metrics": ["loss"], "evaluation": False}})
    site = loopback.sites["alpha"]
    reply = site.rehearse()
    assert list(reply.metrics) == ["loss"]
    assert not (tmp_path / "alpha/states").exists()
    assert encode(site.rehearse()) == encode(reply) == site.handle(encode(job_of(loopback)))


def test_a_rehearsal_says_what_is_wrong(tiny: Backbone, tmp_path: Path) -> None:
    """At the site, in full; it is not scrubbed."""
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl"))
    forget_texts(loopback)
    with pytest.raises(FedMVPError, match=f"class has no attributes; got '{CLASSES['alpha'][1]}'"):
        loopback.sites["alpha"].rehearse()


def test_what_is_wrong_with_a_site_is_said_when_it_is_opened(
    tiny: Backbone, tmp_path: Path
) -> None:
    opened = Opened(tmp_path, tiny)
    with pytest.raises(ConfigError, match=r"client: is not a site of this federation; got 'delta'"):
        opened(client="delta")
    with pytest.raises(DataError, match="too few images"):
        opened(minimum=opened.config.minimum.model_copy(update={"images": 99}))
    with pytest.raises(FedMVPError, match=r"spec.json: file is missing"):
        opened(backbone=tmp_path / "nowhere")
    changed = opened.plan.backbone.model_copy(update={"sha256": "1" * 64})
    opened.plan = opened.plan.model_copy(update={"backbone": changed})
    with pytest.raises(ConfigError, match="is not the federation's CLIP model, 111111111111"):
        opened()


def test_pixels_of_two_sites_on_one_machine_are_not_mixed(tiny: Backbone, tmp_path: Path) -> None:
    """Though names and sizes of their files are alike."""
    for client, colour in (("one", 10), ("two", 200)):
        for name in ("cat", "dog"):
            for part in ("train", "test"):
                path = tmp_path / client / part / name / "0.bmp"
                path.parent.mkdir(parents=True)
                Image.new("RGB", (32, 32), (colour,) * 3).save(path)
    from fedmvp.data.image_source import ImageSource
    from fedmvp.federation.site_data import tree_manifest

    values = []
    for client in ("one", "two"):
        manifest = tree_manifest(tmp_path / client, "a {}", 0.5, 1)
        source = ImageSource({"images": manifest}, 32, "train", lambda d, c=client: tmp_path / c)
        images, labels = source("images", ["images/train/cat/0.bmp"], ["cat", "dog"])
        values.append(int(images[0, 0, 0, 0]))
        assert labels.tolist() == [0]
    assert values == [10, 200]
