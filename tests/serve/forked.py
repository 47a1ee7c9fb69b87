"""Runs a check in a forked child, which a signal ends should it hang."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

LIMIT_S = 20


def holds_in_a_child(check: Callable[[], bool]) -> bool:
    """Return whether a check holds in a child of this process; not if it fails or hangs there."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(LIMIT_S)  # no handler of Python's: a child that waits for a lock runs none
        try:
            os._exit(0 if check() else 1)
        finally:  # whatever was raised: nothing of pytest's may run twice
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0
