"""A site: its images, its client's states, and its own decision about what it sends.

It answers every job, with what was asked for or with a `Failure`; details of an error go only to
the site's own log. Its limits come from site.yaml and its copy of the plan, never from a message.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.devices import prepare_device
from fedmvp.errors import ConfigError
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientState, ClientUpdate, load_tensors
from fedmvp.federation.failures import Failure
from fedmvp.federation.head_start import client_sums
from fedmvp.federation.messages import (
    UNKNOWN_ROUND,
    DescribeJob,
    Description,
    EvaluateJob,
    EvaluateReply,
    Refusal,
    StartJob,
    StartReply,
    TrainJob,
    TrainReply,
)
from fedmvp.federation.outgoing import check_outgoing
from fedmvp.federation.plan import Plan, describe, require_possible
from fedmvp.federation.schedule import learning_rate
from fedmvp.federation.site_config import SiteConfig
from fedmvp.federation.site_data import SiteData
from fedmvp.federation.site_errors import NotAtThisSite, scrubbed
from fedmvp.federation.site_evaluation import count_groups, enough
from fedmvp.federation.states import StateFolder
from fedmvp.federation.wire import decode, encode, job_limit, shapes_of

__all__ = ["Site"]

_Job = TrainJob | EvaluateJob | DescribeJob | StartJob
_JOBS: tuple[type[_Job], ...] = (TrainJob, EvaluateJob, DescribeJob, StartJob)


@dataclass
class Site:
    """One client of a federation, where its images are.

    Parameters
    ----------
    states : Path
        The site's folder for what it keeps from round to round, for all federations.
    log : callable
        Called with texts that must stay at the site.
    """

    config: SiteConfig
    plan: Plan
    backbone: Backbone
    states: Path
    log: Callable[[str], None]

    def __post_init__(self) -> None:
        self.method = self.plan.create(self.backbone)
        self.initial = {name: t.detach().clone() for name, t in self.method.tensors().items()}
        self.shapes = shapes_of(self.initial)
        self.data = SiteData(self.config, self.backbone, self.plan.seed, self.method.head)
        # A client that fails raises an error: this class decides what the server learns of it.
        params = self.plan.resolved().model_copy(update={"on_client_failure": "fail"})
        self.kept = StateFolder(
            self.states / self.plan.name, self.method.first_phase, self.backbone.device
        )
        self.backend = InProcessBackend(
            self.method,
            lambda client: self.data.client_data(),
            [self.config.client],
            params,
            self.plan.seed,
            self.kept,
        )
        # What ε does not cover stays here (`fedmvp.federation.aggregation.privacy`).
        private = params.privacy is not None
        self.metrics = () if private else self.config.share.metrics
        self.evaluates = self.config.share.evaluation and not private

    @classmethod
    def open(
        cls, config: SiteConfig, plan: Plan, states: Path, log: Callable[[str], None] = print
    ) -> Site:
        """Load CLIP and the site's images and texts, once for all rounds.

        Raises
        ------
        FedMVPError
            When the plan is impossible or does not name this site, or a file is not as declared.
        """
        require_possible(plan)
        if config.client not in plan.clients:
            raise ConfigError(
                "is not a site of this federation",
                where="site.yaml: client",
                value=config.client,
                hint=f"known: {', '.join(plan.clients)}",
            )
        wanted = plan.backbone
        backbone = load_backbone(
            config.backbone,
            precision=wanted.precision,
            linear=wanted.linear,
            device=prepare_device(),
        )
        if backbone.spec.tower_sha256 != wanted.sha256:
            raise ConfigError(
                f"is not the federation's CLIP model, {wanted.sha256[:12]}…",
                where="site.yaml: backbone",
                value=backbone.spec.tower_sha256,
                hint="give the site the weights of this CLIP model",
            )
        site = cls(config, plan, backbone, states, log)
        _ = site.data.client, site.data.bank  # errors in them show now
        return site

    def handle(self, content: bytes) -> bytes:
        """Answer any message; one that it cannot answer, with a failure."""
        client = self.config.client
        try:
            job = decode(
                content, _JOBS, self.shapes, limit=job_limit(self.shapes), where="message to site"
            )
        except Exception as error:  # untrusted bytes raise many kinds of error
            return _refusal(self._failed(UNKNOWN_ROUND, error))
        if isinstance(job, DescribeJob):
            return encode(Description(client, job.round_index, self.describe()))
        answer: TrainReply | EvaluateReply | StartReply | Failure
        if isinstance(job, StartJob):
            answer = self.start(job)
        else:
            answer = self.train(job) if isinstance(job, TrainJob) else self.evaluate(job)
        return _refusal(answer) if isinstance(answer, Failure) else encode(answer)

    def describe(self) -> dict[str, str]:
        """Return what must be the same at every site."""
        return describe(self.plan, self.backbone.spec.tower_sha256)

    def start(self, job: StartJob) -> StartReply | Failure:
        """Return the four sums that a multi-label head starts from."""
        client = self.config.client
        try:
            self._check_names(job)
            if not self.method.head.many_labels:
                raise NotAtThisSite(
                    "images show one class each: no sums are needed",
                    where=f"job of round {job.round_index}",
                    hint="let server and site have the same plan",
                )
            load_tensors(self.method, self.initial)
            sums = client_sums(self.method, self.data.client_data())
        except Exception as error:  # see train
            return self._failed(job.round_index, error)
        return StartReply(client, job.round_index, **asdict(sums))

    def train(self, job: TrainJob) -> TrainReply | Failure:
        """Train one round, and keep the client's new state before anything is sent."""
        client, index = self.config.client, job.round_index
        try:
            self._check(job)
            params = self.backend.federation
            rate = learning_rate(params.schedule, params.learning_rate, index, params.rounds)
            if index >= params.rounds or job.learning_rate != rate:
                raise NotAtThisSite(
                    f"the plan has {params.rounds} rounds, and learning rate {rate!r} in this one",
                    where=f"job of round {index}",
                    value=job.learning_rate,
                    hint="let server and site have the same plan",
                )
            received = self._on_device(job.tensors)
            extra, since = {client: self._on_device(job.extra)}, {client: job.since}
            (update,) = self.backend.run(received, [client], index, rate, extra, since)
            return self._reply(update, received, index)
        except Exception as error:  # whatever it is, the federation goes on without this update
            return self._failed(index, error)

    def rehearse(self) -> TrainReply:
        """Return what the first round would send; nothing is sent, and nothing is kept.

        Raises
        ------
        FedMVPError, OSError, RuntimeError, ValueError
            Whatever is wrong, with the full message.
        """
        params, state = self.backend.federation, ClientState(self.method.first_phase)
        rate = learning_rate(params.schedule, params.learning_rate, 0, params.rounds)
        update = self.backend.train(self.config.client, state, self.initial, 0, rate, {})
        return self._reply(update, self.initial, 0)

    def _reply(
        self, update: ClientUpdate | Failure, received: Mapping[str, Tensor], index: int
    ) -> TrainReply:
        """Return what is sent of an update, after checking that it may be sent."""
        assert isinstance(update, ClientUpdate)  # a failure raises: see `__post_init__`
        check_outgoing(update, received, self.method, self.config.max_update_norm)
        return TrainReply(
            self.config.client,
            index,
            update.images,
            update.phase,
            {name: value for name, value in update.metrics.items() if name in self.metrics},
            update.bytes_down,
            update.tensors,
        )

    def evaluate(self, job: EvaluateJob) -> EvaluateReply | Failure:
        """Count on held-out images; leave out small groups, or all groups if site.yaml says so."""
        client = self.config.client
        try:
            self._check(job)
            groups = {}
            if self.evaluates:
                load_tensors(self.method, self._on_device(job.tensors))
                personal = self.kept.before(client, job.since).personal
                groups = count_groups(
                    self.method, self.data, lambda: load_tensors(self.method, personal)
                )
        except Exception as error:  # see train
            return self._failed(job.round_index, error)
        minimum = self.config.minimum.group
        sent = {name: counts for name, counts in groups.items() if enough(counts, minimum)}
        withheld = [name for name in groups if name not in sent] if self.evaluates else ["all"]
        return EvaluateReply(client, job.round_index, sent, withheld)

    def _check(self, job: TrainJob | EvaluateJob) -> None:
        """Refuse a job of another federation or client, or one that lacks what is needed."""
        where = f"job of round {job.round_index}"
        self._check_names(job)
        if list(job.tensors) != list(self.shapes):
            raise NotAtThisSite("lacks some of the method's tensors", where=where, hint=_KIT)
        if job.since > job.round_index:
            raise NotAtThisSite("names a later round", where=where, value=job.since, hint=_AGAIN)
        if job.since and not self.kept.has(self.config.client):
            raise NotAtThisSite(
                f"this site has no state from before round {job.since} to continue from",
                where=where,
                hint="restore the site's folder of states, or start the federation again",
            )

    def _check_names(self, job: TrainJob | EvaluateJob | StartJob) -> None:
        for what, found, ours in (
            ("is for another federation", job.run, self.plan.name),
            ("is for another client", job.client, self.config.client),
        ):
            if found != ours:
                raise NotAtThisSite(what, where=f"job of round {job.round_index}", hint=_KIT)

    def _on_device(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self.backbone.device) for name, tensor in tensors.items()}

    def _failed(self, round_index: int, error: Exception) -> Failure:
        self.log("".join(traceback.format_exception(error)))
        return scrubbed(self.config.client, round_index, error)


_KIT = "join with this server's kit"
_AGAIN = "start the federation again"


def _refusal(failure: Failure) -> bytes:
    return encode(Refusal(failure.client, failure.round_index, failure.error, failure.trace))
