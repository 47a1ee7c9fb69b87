"""Tests the watch on the machine: it sees threads kept from running, and no one who only waits."""

from __future__ import annotations

import ctypes
import time

import pytest

from tests.soak.lateness import HALT_S, MOST_S, Lateness, watching

HELD_US = 200_000


def test_a_thread_that_waits_makes_nobody_late_and_one_that_holds_the_interpreter_does() -> None:
    with watching() as idle:
        time.sleep(HELD_US / 1e6)
    with watching() as held:
        ctypes.PyDLL(None).usleep(HELD_US)  # keeps the interpreter's lock
    assert held.worst_s > 0.1
    assert idle.worst_s < held.worst_s


def test_only_the_part_of_a_halt_that_falls_into_a_call_is_allowed_for() -> None:
    late = Lateness()
    late.take(10.0, HALT_S / 2)  # busy, not halted
    late.take(20.0, 0.4)
    assert late.worst_s == 0.4
    assert late.allowed_s == MOST_S
    assert late.halted_s(10.0, 11.0) == 0.0
    assert late.halted_s(20.3, 21.0) == pytest.approx(0.1)
    assert late.halted_s(19.0, 21.0) == pytest.approx(0.4)
