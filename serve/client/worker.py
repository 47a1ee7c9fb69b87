"""Owns a thread that does what need not be waited for, one thing after the other.

gRPC would make a thread for each such call, in the thread that calls. A signal that raises there,
Ctrl-C or a job's time limit, may end it before it begins, and whoever closes the channel then waits
for ever. Signals raise in the main thread alone: a thread of ours is never interrupted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

IDLE_S = 5.0
"""After which a thread that has nothing to do ends; the next thing to do makes another."""
_Jobs = SimpleQueue[Callable[[], None] | None]


class Worker:
    """Gives work to a thread of its own; several threads may call it, after a fork too."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._thread: Thread | None = None
        self._jobs: _Jobs = SimpleQueue()

    def do(self, job: Callable[[], None]) -> None:
        """Have something done, soon; it must not raise. Not done where no thread can be had."""
        if self._thread is None or not self._thread.is_alive():
            # Two threads may get here at once: both of theirs work, and one of them ends idle.
            jobs: _Jobs = SimpleQueue()
            thread = Thread(target=_work, args=(jobs,), name="client-worker", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # a limit on threads; whoever calls has an answer to wait for
                return
            self._jobs, self._thread = jobs, thread
        self._jobs.put(job)

    def close(self) -> None:
        """Let the thread end when it has done what it has."""
        self._jobs.put(None)


def _work(jobs: _Jobs) -> None:
    with contextlib.suppress(Empty):
        while job := jobs.get(timeout=IDLE_S):
            job()
