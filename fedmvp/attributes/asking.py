"""Putting questions to a provider, several at once where it is a server; Ctrl-C ends it at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from fedmvp.attributes.providers.base import Ask, Provider, ProviderUnusable, Reply, Usage
from fedmvp.errors import AttributeTextError
from fedmvp.interruption import raise_if_stopped

__all__ = ["Observer", "ask_all"]

# Time after Ctrl-C for answers that are arriving, so that they are recorded and not paid for twice.
_GRACE_S = 1.0


class Observer(Protocol):
    """Called after every finished class, in the calling thread."""

    def __call__(self, class_name: str, usage: Usage) -> None:
        """Process one class and what its answer cost."""
        ...


def ask_all(
    asks: Sequence[Ask], provider: Provider, *, at_once: int, observer: Observer | None = None
) -> list[Reply | AttributeTextError]:
    """Return the outcome of every question, in the order of `asks`.

    Parameters
    ----------
    at_once : int
        Questions put at once, each in a thread; 0: one after the other, in this thread.

    Raises
    ------
    ProviderUnusable
        As soon as one question raises it; answers under way are awaited and recorded.
    KeyboardInterrupt
        Within about a second, whatever the provider waits for.
    """
    outcomes: dict[int, Reply | AttributeTextError] = {}

    def note(place: int, outcome: Reply | AttributeTextError) -> None:
        if isinstance(outcome, ProviderUnusable):
            raise outcome
        if isinstance(outcome, Reply) and observer is not None:
            observer(asks[place].class_name, outcome.usage)
        outcomes[place] = outcome

    if at_once:
        _in_threads(asks, provider, at_once, note)
    else:
        for place, ask in enumerate(asks):
            raise_if_stopped()
            try:
                outcome: Reply | AttributeTextError = provider.reply(ask)
            except AttributeTextError as error:
                outcome = error
            note(place, outcome)
    return [outcomes[place] for place in range(len(asks))]


def _in_threads(
    asks: Sequence[Ask],
    provider: Provider,
    at_once: int,
    note: Callable[[int, Reply | AttributeTextError], None],
) -> None:
    """Hand outcomes to `note` as they come.

    The threads are daemons, unlike a pool's, for whose end the interpreter would wait even if they
    are waiting for a server.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, Reply | BaseException]] = SimpleQueue()
    stopped = threading.Event()
    for place in range(len(asks)):
        waiting.put(place)

    def work() -> None:
        while not stopped.is_set():
            try:
                place = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((place, provider.reply(asks[place])))
            except BaseException as error:
                # Questions still waiting would only fail in the same way.
                if not isinstance(error, AttributeTextError) or isinstance(error, ProviderUnusable):
                    stopped.set()
                done.put((place, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(asks)))]
    for thread in threads:
        thread.start()
    patience: float | None = None
    try:
        for _ in asks:
            raise_if_stopped()
            place, outcome = done.get()
            if isinstance(outcome, BaseException) and not isinstance(outcome, AttributeTextError):
                raise outcome
            note(place, outcome)
    except KeyboardInterrupt:
        patience = _GRACE_S
        raise
    finally:
        # Questions not yet asked are dropped, answers under way recorded.
        stopped.set()
        end = None if patience is None else time.monotonic() + patience
        for thread in threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
