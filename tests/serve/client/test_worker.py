"""Tests the thread that does what need not be waited for."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from serve.client import worker
from serve.client.worker import MAX_WAITING, Worker
from serve.triton.processes import wait_until
from tests.serve.forked import holds_in_a_child

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "client-worker"]


def done_by(idle: Worker) -> list[int]:
    done: list[int] = []
    for number in range(3):
        idle.do(partial(done.append, number))
        assert wait_until(lambda: len(done) > number, timeout_s=10)  # noqa: B023  before the next
    return done


def test_one_thread_does_all_in_order_until_it_is_closed() -> None:
    before, busy = threads(), Worker()
    assert threads() == before, "no thread without anything to do"
    assert done_by(busy) == [0, 1, 2]
    (thread,) = set(threads()) - set(before)
    assert thread.daemon, "no program waits for it"
    assert done_by(busy) == [0, 1, 2]
    assert set(threads()) - set(before) == {thread}
    busy.close()
    assert wait_until(lambda: not thread.is_alive(), timeout_s=10)
    assert done_by(busy) == [0, 1, 2], "what was under way as a client was closed is heard of"


def test_a_thread_ends_that_has_nothing_to_do_and_another_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "IDLE_S", 0.01)
    before, idle = threads(), Worker()
    for _ in range(2):
        done_by(idle)
        assert wait_until(lambda: set(threads()) <= set(before), timeout_s=10)


def test_a_forks_child_has_a_thread_of_its_own() -> None:
    busy = Worker()
    done_by(busy)
    assert holds_in_a_child(lambda: done_by(busy) == [0, 1, 2])
    busy.close()


def test_where_no_thread_can_be_had_nothing_is_done_and_nothing_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[int] = []
    idle = Worker()
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        idle.do(lambda: done.append(0))
    assert done_by(idle) == [0, 1, 2]
    assert done == []


def test_what_would_wait_for_long_is_dropped() -> None:
    busy, is_over, begun, done = Worker(), threading.Event(), threading.Event(), list[int]()

    def hang() -> None:
        begun.set()
        is_over.wait(10)

    busy.do(hang)
    assert begun.wait(10)
    for number in range(MAX_WAITING + 3):
        busy.do(partial(done.append, number))
    is_over.set()
    assert wait_until(lambda: len(done) == MAX_WAITING, timeout_s=10)
    assert done == list(range(MAX_WAITING))
    assert done_by(busy) == [0, 1, 2]


def test_what_comes_as_a_thread_ends_is_done_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "IDLE_S", 1e-4)
    busy, done = Worker(), list[int]()
    for number in range(500):
        busy.do(partial(done.append, number))
        assert wait_until(lambda: len(done) > number, timeout_s=10)  # noqa: B023
