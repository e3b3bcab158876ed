"""The server's job process: the round loop over FLARE's messages.

A job has no arguments: what is trained is defined in the organiser's folder. The loop resumes from
its checkpoints, so the next job continues where the last one ended, however that was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task, TaskCompletionStatus
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedmvp.errors import FedMVPError
from fedmvp.federation.flare.events import Events
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.message import content_of, message_of
from fedmvp.imports import uncollected

if TYPE_CHECKING:
    from fedmvp.federation.remote import RemoteBackend

__all__ = ["FederationController", "JobSender"]

_TASK = "job"


class FederationController(Controller):  # type: ignore[misc]
    """Runs a federation from its newest checkpoint to its result files."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: set[str] = set()
        self.backend: RemoteBackend

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Do nothing: `control_flow` loads what is needed."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Do nothing: there is nothing to close."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Take note of the job's end: the sites have been told by now.

        FLARE's processes take some six seconds more to end, for which nobody need wait.
        """
        if event_type == EventType.END_RUN:
            Events(Organiser.of_process().events).write("over", job=str(fl_ctx.get_job_id()))

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Train, evaluate and write the result files; on an error, end the job with it."""
        with uncollected():  # torch among them
            from fedmvp.federation.flare.served import Paused, Served
            from fedmvp.federation.remote import RemoteBackend

        organiser = Organiser.of_process()
        events = Events(organiser.events)
        job = str(fl_ctx.get_job_id())
        try:
            served = Served(organiser, events)
            backend = RemoteBackend(
                served.plan,
                served.method,
                JobSender(self, fl_ctx),
                deadline_s=served.settings.round_deadline_s,
                stop=lambda: _end_if(abort_signal),
            )
            self.backend = backend
            present = [client.name for client in fl_ctx.get_engine().get_clients()]
            served.run(backend, present, self.heard)
        except Paused:
            events.write("paused", job=job)
        except _Aborted:
            events.write("aborted", job=job)
        except FedMVPError as error:
            kind = type(error).__name__
            events.write("stopped", job=job, kind=kind, error=str(error))
            self.system_panic(kind, fl_ctx)
        except Exception as error:
            self.logger.exception("the federation stopped")
            events.write("stopped", job=job, kind=type(error).__name__, error=str(error))
            self.system_panic(type(error).__name__, fl_ctx)

    def ask(self) -> None:
        """Forget who answered: a new request begins."""
        self.heard.clear()

    def answered(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        """Receive an answer: FLARE calls this in a thread of its own."""
        content = content_of(client_task.result)
        self.heard.add(client_task.client.name)
        client_task.result = None  # FLARE would keep it
        self.backend.deliver(client_task.client.name, content)

    def ended(self, task: Task, fl_ctx: FLContext) -> None:
        """Note that FLARE lost a site, so that the round does not wait for it any longer."""
        if task.completion_status == TaskCompletionStatus.CLIENT_DEAD:
            for client in task.targets:
                self.backend.lost(str(client), "was lost: it no longer sends heartbeats")

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, ctx: FLContext
    ) -> None:
        """Drop an answer that came too late."""


class _Aborted(Exception):
    """FLARE aborts the job."""


def _end_if(abort_signal: Signal) -> None:
    if abort_signal.triggered:
        raise _Aborted


class JobSender:
    """Sends jobs to sites, and cancels those of the previous round that were not fetched."""

    def __init__(self, controller: FederationController, fl_ctx: FLContext) -> None:
        self.controller = controller
        self.fl_ctx = fl_ctx
        self.standing: list[Task] = []

    def __call__(self, jobs: Mapping[str, bytes]) -> None:
        """Hand each client its job; see `fedmvp.federation.remote.Send`."""
        for old in self.standing:
            self.controller.cancel_task(old)
        self.standing = []
        self.controller.ask()
        for client, content in jobs.items():
            task = Task(
                _TASK,
                message_of(content),
                result_received_cb=self.controller.answered,
                task_done_cb=self.controller.ended,
            )
            self.controller.broadcast(task, self.fl_ctx, targets=[client], min_responses=1)
            self.standing.append(task)
