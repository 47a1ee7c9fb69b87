"""Owns a thread that does what need not be waited for, one thing after the other.

gRPC would make a thread for each such call, in the thread that calls. A signal that raises there,
Ctrl-C or a job's time limit, may end it before it begins, and whoever closes the channel then waits
for ever. Signals raise in the main thread alone: a thread of ours is never interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread

IDLE_S = 5.0
"""After which a thread that has nothing to do ends; the next thing to do makes another."""
MAX_WAITING = 2
"""What more is to be done is dropped: it would be late."""


class Worker:
    """Gives work to a thread of its own; several threads may call it, after a fork too."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._pid = os.getpid()
        self._lock = Lock()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def do(self, job: Callable[[], None]) -> None:
        """Have something done, soon; it must not raise.

        Not done where no thread can be had, or too much waits already.
        """
        if self._pid != os.getpid():  # the thread is the parent's, and may have held the lock
            Worker.__init__(self)
        with self._lock:
            if self._jobs.qsize() >= MAX_WAITING:
                return
            self._jobs.put(job)
            if self._thread is None or not self._thread.is_alive():
                self._begin()

    def close(self) -> None:
        """Let the thread end when it has done what it has."""
        self._jobs.put(None)

    def _begin(self) -> None:
        self._thread = Thread(target=self._work, name="client-worker", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # a limit on threads; whoever calls has an answer to wait for
            self._jobs.get_nowait()

    def _work(self) -> None:
        while job := self._next():
            job()

    def _next(self) -> Callable[[], None] | None:
        """Return what to do; None to end."""
        try:
            return self._jobs.get(timeout=IDLE_S)
        except Empty:
            with self._lock:  # nobody gives work meanwhile, or sees a thread that is about to end
                if self._jobs.empty():
                    self._thread = None
                    return None
            return self._next()
