"""Owns how late this machine is by itself: what bounds on time have to allow on a busy one.

A thread sleeps 5 ms again and again; whatever it oversleeps, nobody's code is to blame for but the
machine, its other users, and the test's own threads. A server that dawdles does not make it late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_NAP_S = 0.005


@dataclass(slots=True)
class Lateness:
    """How late the machine was.

    Attributes:
        worst_s: Longest that the thread overslept, in seconds.
    """

    worst_s: float = 0.0


@contextmanager
def watching() -> Iterator[Lateness]:
    """Watch how late the machine is in the block."""
    late, is_over = Lateness(), threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            time.sleep(_NAP_S)
            late.worst_s = max(late.worst_s, time.monotonic() - began - _NAP_S)

    thread = threading.Thread(target=watch, name="lateness")
    thread.start()
    try:
        yield late
    finally:
        is_over.set()
        thread.join()
