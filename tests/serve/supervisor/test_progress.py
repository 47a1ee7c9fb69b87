"""Tests when the work of a replica moves on."""

from __future__ import annotations

from serve.supervisor.progress import Progress


def test_a_version_that_stands_still_is_not_moved_on_by_another() -> None:
    progress = Progress()
    assert progress.moved == 0.0
    progress.note({"1": 100}, 10.0)
    assert progress.moved == 10.0
    progress.note({"1": 200, "2": 5}, 12.0)
    assert progress.moved == 12.0, "a version that came begins to count"
    progress.note({"1": 300, "2": 5}, 14.0)
    assert progress.moved == 12.0
    progress.note({"1": 300, "2": 9}, 16.0)
    assert progress.moved == 14.0
    progress.note({"2": 9}, 18.0)
    assert progress.moved == 16.0, "one that is gone counts no more"


def test_a_server_that_began_anew_moves_on() -> None:
    progress = Progress()
    progress.note({"1": 100}, 10.0)
    progress.note({"1": 0}, 20.0)
    assert progress.moved == 20.0
