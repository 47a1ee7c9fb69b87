"""Tests that a system is halted at rest, and runs in its turn only."""

from __future__ import annotations

import signal

import pytest

from benchmarks import halting
from benchmarks.halting import REST_S, running

GROUP = 4711


def test_a_system_runs_in_its_turn_and_rests_before_it_is_halted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[object] = []
    monkeypatch.setattr(halting.os, "killpg", lambda *sent: done.append(sent))
    monkeypatch.setattr(halting.time, "sleep", done.append)
    with running(GROUP):
        assert done == [(GROUP, signal.SIGCONT)]
    assert done[1:] == [REST_S, (GROUP, signal.SIGSTOP)]
