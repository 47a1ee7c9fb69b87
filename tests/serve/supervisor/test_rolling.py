"""Tests who is restarted on purpose, and when."""

from __future__ import annotations

from serve.supervisor.life import Life, Phase
from serve.supervisor.patience import Patience
from serve.supervisor.rolling import Rolling

PATIENCE = Patience()
READY, STARTING = Life(phase=Phase.READY, since=0.0), Life(phase=Phase.STARTING)
LATER = PATIENCE.settle_s


def test_replicas_are_restarted_one_after_the_other_as_others_have_settled() -> None:
    rolling = Rolling()
    for number in (0, 1):
        rolling.ask(number, "because")
    assert rolling.next({0: READY, 1: READY}, LATER, PATIENCE) == (0, "because")
    assert rolling.next({0: STARTING, 1: READY}, LATER, PATIENCE) is None
    just_back = Life(phase=Phase.READY, since=10.0)
    assert rolling.next({0: just_back, 1: READY}, 10.5, PATIENCE) is None, "clients look for it"
    assert rolling.next({0: just_back, 1: READY}, 10.0 + LATER, PATIENCE) == (1, "because")
    assert rolling.next({0: just_back, 1: READY}, 60.0, PATIENCE) is None, "all are done"


def test_a_replica_that_asks_twice_is_restarted_once() -> None:
    rolling = Rolling()
    rolling.ask(0, "first")
    rolling.ask(0, "second")
    assert rolling.next({0: READY}, LATER, PATIENCE) == (0, "first")
    assert rolling.next({0: READY}, LATER, PATIENCE) is None


def test_a_replica_that_went_down_by_itself_needs_no_restart() -> None:
    rolling = Rolling()
    rolling.ask(0, "because")
    assert rolling.next({0: STARTING, 1: READY}, LATER, PATIENCE) is None
    assert rolling.next({0: READY, 1: READY}, LATER, PATIENCE) is None


def test_a_single_replica_is_restarted_although_nobody_takes_over() -> None:
    rolling = Rolling()
    rolling.ask(0, "because")
    assert rolling.next({0: READY}, LATER, PATIENCE) == (0, "because")


def test_what_nobody_waits_for_any_more_is_not_restarted() -> None:
    """The command that asked has failed; at a time of nobody's choice it would be a surprise."""
    rolling = Rolling()
    rolling.ask(0, "asked to restart", until=150.0)
    rolling.ask(0, "asked again", until=1e9)
    down, up = {0: READY, 1: STARTING}, {0: READY, 1: READY}
    assert [rolling.next(down, now, PATIENCE) for now in (LATER, 150.1)] == [None, None]
    assert rolling.next(up, 150.2, PATIENCE) is None
    rolling.ask(0, "asked to restart", until=300.0)
    assert rolling.next(up, 300.0, PATIENCE) == (0, "asked to restart")
