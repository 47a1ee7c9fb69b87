"""Tests the watch on the machine: it sees threads kept from running, and no one who only waits."""

from __future__ import annotations

import ctypes
import time

from tests.soak.lateness import watching

HELD_US = 200_000


def test_a_thread_that_waits_makes_nobody_late_and_one_that_holds_the_interpreter_does() -> None:
    with watching() as idle:
        time.sleep(HELD_US / 1e6)
    with watching() as held:
        ctypes.PyDLL(None).usleep(HELD_US)  # keeps the interpreter's lock
    assert held.worst_s > 0.1
    assert idle.worst_s < held.worst_s
