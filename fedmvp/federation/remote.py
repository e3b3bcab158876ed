"""The backend whose clients are sites: jobs and replies as bytes, whatever engine carries them.

Whatever a site sends is checked here, without relying on its own checks: length, kind, names,
shapes, formats and values, and that the client named in it is the one the engine names as sender.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from fedmvp.errors import ClientFailure, ConfigError, MessageError
from fedmvp.federation.aggregation.rules import check_update
from fedmvp.federation.client import ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.head_start import HeadSums
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
from fedmvp.federation.plan import Plan, require_agreement
from fedmvp.federation.replies import Lost, Replies
from fedmvp.federation.site_evaluation import SiteCounts, add_up
from fedmvp.federation.wire import decode, encode, reply_limit, shapes_of
from fedmvp.interruption import raise_if_stopped
from fedmvp.methods.base import Method

__all__ = ["RemoteBackend", "Send"]

Send = Callable[[Mapping[str, bytes]], None]
"""Sends each client its job; returns at once."""

_Kind = TypeVar("_Kind", TrainReply, EvaluateReply, StartReply, Description)
_REPLIES: tuple[type[TrainReply | EvaluateReply | StartReply | Description | Refusal], ...] = (
    TrainReply,
    EvaluateReply,
    StartReply,
    Description,
    Refusal,
)


class RemoteBackend:
    """Runs the clients of a round at their sites; see `fedmvp.federation.backend.Backend`.

    Parameters
    ----------
    method : Method
        The method whose tensors are sent; it has no client's data or classes.
    send : callable
        See `Send`.
    deadline_s : float
        How many seconds a round waits for its replies.
    stop : callable
        Called while waiting; may raise.
    clock : callable
        Returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        plan: Plan,
        method: Method,
        send: Send,
        *,
        deadline_s: float,
        stop: Callable[[], None] = raise_if_stopped,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan = plan
        self.method = method
        self.send = send
        self.deadline_s = deadline_s
        self.federation = plan.resolved()
        self.shapes = shapes_of(method.tensors())
        self._replies = Replies(reply_limit(self.shapes), stop, clock)

    def deliver(self, client: str, content: bytes) -> None:
        """Take a reply; `client` is its sender according to the engine."""
        self._replies.put(client, content)

    def lost(self, client: str, reason: str) -> None:
        """Note that a client will not answer."""
        self._replies.put(client, Lost(reason))

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update in turn; see `Backend.run`.

        Raises
        ------
        ClientFailure
            For a client that gives no usable update, under ``on_client_failure: fail``.
        """
        jobs = {
            client: TrainJob(
                self.plan.name,
                client,
                round_index,
                round_index if since is None else since[client],
                learning_rate,
                tensors,
                (extra or {}).get(client, {}),
            )
            for client in clients
        }
        device = next(iter(tensors.values())).device
        for client, reply in self._ask(jobs, round_index, TrainReply):
            result: ClientUpdate | Failure
            try:
                result = self._update(reply, tensors, device)
            except ClientFailure as error:
                result = Failure.of(client, round_index, error)
            if isinstance(result, Failure) and self.federation.on_client_failure != "skip":
                what, _, hint = result.error.partition("; hint: ")
                raise ClientFailure(
                    what,
                    where=f"site {client}, round {round_index}",
                    hint=hint or "see the site's own log, or set on_client_failure: skip",
                )
            yield result

    def describe(
        self, ours: Mapping[str, str], clients: Sequence[str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Ask sites for hashes of their plan, software and weights, and compare them with ours.

        Parameters
        ----------
        ours : mapping of str to str
            The server's own `fedmvp.federation.plan.describe`.

        Returns
        -------
        silent : dict of str to str
            The reason for each site that did not answer.
        differing : dict of str to str
            For each site that differs, one line naming the first field that does.
        """
        jobs = {client: DescribeJob(self.plan.name, client, 0) for client in clients}
        silent, differing = {}, {}
        for client, reply in self._ask(jobs, 0, Description):
            if isinstance(reply, Failure):
                silent[client] = reply.error
                continue
            try:
                require_agreement(ours, reply.fields, client)
            except ConfigError as error:
                differing[client] = str(error)
        return silent, differing

    def head_sums(self, clients: Sequence[str]) -> HeadSums:
        """Ask sites for the sums that a multi-label head starts from, and add them up.

        Raises
        ------
        ClientFailure
            When fewer than ``min_clients`` give usable sums.
        """
        jobs = {client: StartJob(self.plan.name, client, 0) for client in clients}
        total, counted, why = HeadSums(), 0, "no site was asked"
        for client, reply in self._ask(jobs, 0, StartReply):
            if isinstance(reply, Failure):
                why = f"site {client}: {reply.error}"
            elif reply.positive > reply.known or abs(reply.similarity) > 2 * reply.compared:
                why = f"site {client}: its sums are impossible"
            else:
                total += HeadSums(reply.similarity, reply.compared, reply.positive, reply.known)
                counted += 1
        fewest = self.federation.min_clients
        if counted < (fewest if self.federation.on_client_failure == "skip" else len(clients)):
            raise ClientFailure(
                f"{counted} of {len(clients)} sites gave the sums the head starts from ({why})",
                where="before the first round",
                hint="see the site's own log",
            )
        return total

    def evaluate(
        self, tensors: Mapping[str, Tensor], clients: Sequence[str], since: Mapping[str, int]
    ) -> SiteCounts:
        """Return the sites' counts with these global tensors and their own personal ones."""
        index = self.federation.rounds
        jobs = {
            client: EvaluateJob(self.plan.name, client, index, since.get(client, 0), tensors)
            for client in clients
        }
        return add_up(reply for _, reply in self._ask(jobs, index, EvaluateReply))

    def _ask(
        self,
        jobs: Mapping[str, TrainJob | EvaluateJob | StartJob | DescribeJob],
        round_index: int,
        kind: type[_Kind],
    ) -> Iterator[tuple[str, _Kind | Failure]]:
        """Send jobs and yield each client's answer, in their order."""

        def read(client: str, content: bytes) -> _Kind | Failure | None:
            where = f"reply of site {client}"
            try:
                limit = reply_limit(self.shapes)
                reply = decode(content, _REPLIES, self.shapes, limit=limit, where=where)
            except MessageError as error:
                return Failure.of(client, round_index, error)
            if reply.client != client:
                return Failure(client, round_index, f"{where}: names another client", "")
            if isinstance(reply, Refusal) and reply.round_index in (round_index, UNKNOWN_ROUND):
                return Failure(client, round_index, reply.error, reply.trace)
            if isinstance(reply, kind) and reply.round_index == round_index:
                return reply
            return None  # a late reply to an earlier request

        self.send({client: encode(job) for client, job in jobs.items()})
        answers: Iterator[tuple[str, _Kind | Failure | Lost]] = self._replies.collect(
            jobs, self.deadline_s, read
        )
        for client, answer in answers:
            if isinstance(answer, Lost):
                yield client, Failure(client, round_index, f"site {client} {answer.reason}", "")
            else:
                yield client, answer

    def _update(
        self, reply: TrainReply | Failure, tensors: Mapping[str, Tensor], device: torch.device
    ) -> ClientUpdate | Failure:
        """Return a reply as an update, if it is one that can be used."""
        if isinstance(reply, Failure):
            return reply
        update = ClientUpdate(
            reply.client,
            {name: tensor.to(device) for name, tensor in reply.tensors.items()},
            reply.images,
            reply.phase,
            {str(name): value for name, value in reply.metrics.items()},
            reply.bytes_down,
        )
        check_update(update, tensors)
        if reply.phase not in self.method.phases:
            raise ClientFailure(
                "names a phase the method does not have",
                where=f"update of client {reply.client}",
                value=reply.phase,
                hint=f"known: {', '.join(self.method.phases)}",
            )
        wanted = self.method.communicated(reply.phase)
        if sorted(update.tensors) != sorted(wanted):
            raise ClientFailure(
                f"has {len(update.tensors)} tensors, phase {reply.phase} sends {len(wanted)}",
                where=f"update of client {reply.client}",
                hint="let server and sites run the same version of fedmvp",
            )
        return update
