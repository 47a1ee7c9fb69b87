"""Tests that a server is told to load what callers ask for and it lacks, and to drop the rest."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from threading import Event

import pytest

from serve.errors import ServerError
from serve.files import locked
from serve.repository import publish, versions
from serve.supervisor.completion import PAUSE_S, SURPLUS_S, Completion, tidy
from serve.triton.processes import wait_until
from serve.triton.state import ServerState
from serve.versions.history import Step, read_events
from serve.versions.servers import Running
from tests.serve.stand_in import note_of

STATE = note_of(Path("l"), Path("r"))
SERVED = (1, 2)
"""What callers ask for: version 2 is on trial."""


class Told:
    """Takes what servers are told; lasts until it is let go, and fails if it is to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.states: list[ServerState] = []
        self.is_over = Event()

    def __call__(self, state: ServerState) -> None:
        self.states.append(state)
        self.is_over.wait(10.0)
        if self.fails:
            raise ServerError("expected a graph, got none\nat line 3")


def test_what_is_lacking_is_loaded_when_it_was_so_twice() -> None:
    told = Told()
    completion = Completion(told)
    completion.note(STATE, ["1", "2"], SERVED, 1.0)
    completion.note(STATE, ["1"], SERVED, 2.0)
    assert completion.lacking == {2}
    completion.note(STATE, ["1", "2"], SERVED, 3.0)
    assert completion.lacking == frozenset()
    completion.note(STATE, ["1"], SERVED, 4.0)
    assert told.states == []
    completion.note(STATE, ["1"], SERVED, 5.0)
    assert wait_until(lambda: told.states == [STATE], timeout_s=5)
    told.is_over.set()


def test_a_server_that_says_nothing_lacks_nothing() -> None:
    told = Told()
    completion = Completion(told)
    for now in range(3):
        completion.note(STATE, [], SERVED, now)
    for now in range(3, 6):
        completion.note(STATE, ["1"], [], now)
    assert (completion.lacking, told.states) == (frozenset(), [])


def test_one_that_cannot_load_is_told_again_later_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told(fails=True)
    completion = Completion(told)
    completion.note(STATE, ["1"], SERVED, 1.0)
    completion.note(STATE, ["1"], SERVED, 2.0)
    completion.note(STATE, ["1"], SERVED, 2.0 + 2 * PAUSE_S)
    assert wait_until(lambda: len(told.states) == 1, timeout_s=5), "one at a time"
    told.is_over.set()
    assert wait_until(lambda: bool(caplog.records), timeout_s=5)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage().split()[0]) == (logging.ERROR, "load_failed")
    assert record.getMessage().endswith('reason="expected a graph, got none"')
    completion.note(STATE, ["1"], SERVED, 1.9 + PAUSE_S)
    assert len(told.states) == 1, "not at once"
    assert wait_until(lambda: tried_again(completion, told), timeout_s=5)
    assert json.dumps(sorted(completion.lacking)) == "[2]"


def test_what_is_lacking_after_another_step_is_loaded_at_once() -> None:
    """A rollback from another container may follow the publication within seconds."""
    told = Told()
    told.is_over.set()
    completion = Completion(told)
    for now, served in [(1.0, [1, 2]), (2.0, [1, 2]), (3.0, [1, 3]), (4.0, [1, 3])]:
        completion.note(STATE, ["1"], served, now)
        wait_until(lambda: not completion._thread or not completion._thread.is_alive(), timeout_s=5)
    assert len(told.states) == 2
    completion.note(STATE, ["1"], [1, 3], 5.0)
    assert len(told.states) == 2, "that it was told just now"


def test_what_nobody_asks_for_is_dropped_once_no_step_would_take_it_away_any_more() -> None:
    """A publication that was killed left it; Triton gives it to whoever names no version."""
    told, unloaded = Told(), Told()
    completion = Completion(told, unloaded)
    ready = ["1", "2", "3"]
    completion.note(STATE, ready, SERVED, 100.0)
    completion.note(STATE, ready, SERVED, 99.9 + SURPLUS_S)
    completion.note(STATE, [], SERVED, 100.1 + SURPLUS_S)
    completion.note(STATE, ready, [], 100.2 + SURPLUS_S)
    completion.note(STATE, ready, SERVED, 100.1 + 2 * SURPLUS_S)
    assert unloaded.states == []
    completion.note(STATE, ready, SERVED, 100.3 + 2 * SURPLUS_S)
    assert wait_until(lambda: unloaded.states == [STATE], timeout_s=5)
    unloaded.is_over.set()
    assert told.states == []


def test_a_publication_that_was_killed_is_undone_but_not_one_that_is_under_way(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, seen = tmp_path / "repository", list[list[int]]()
    publish(bundle, repository)
    shutil.copytree(repository / "tagger" / "1", repository / "tagger" / "2")
    monkeypatch.setattr(Running, "__init__", lambda server, state: None)
    monkeypatch.setattr(Running, "unload", lambda server: seen.append(versions(repository)))
    monkeypatch.setattr(Running, "close", lambda server: None)
    state = note_of(tmp_path / "log", repository)
    with locked(repository), pytest.raises(BlockingIOError):
        tidy(state)
    assert (versions(repository), seen) == ([1, 2], [])
    tidy(state)
    assert (versions(repository), seen) == ([1], [[1]])
    assert [event.step for event in read_events(repository)] == [Step.PUBLISH, Step.REFUSE]


def tried_again(completion: Completion, told: Told) -> bool:
    completion.note(STATE, ["1"], SERVED, 2.1 + PAUSE_S)
    return len(told.states) == 2
