"""Tests that what goes wrong at each look, a status not written say, is told once, and is borne."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from serve.supervisor.status import SupervisorStatus, read_status
from serve.supervisor.telling import Teller, Troubles

STATUS = SupervisorStatus(
    pid=1,
    start_ticks=1,
    started="2026-01-01T00:00:00+00:00",
    updated="2026-01-01T00:00:00+00:00",
    triton="",
    repository="r",
    metrics_url=None,
    warnings=(),
    replicas=(),
)


def test_a_status_that_cannot_be_written_is_logged_once_and_once_when_it_can_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "triton"
    folder.touch()  # no folder: what a full disk would do, and to root as well
    teller = Teller(folder)
    with caplog.at_level(logging.INFO, "serve"):
        for _ in range(3):
            teller.tell(STATUS)
        folder.unlink()
        folder.mkdir()
        for _ in range(2):
            teller.tell(STATUS)
    assert [record.event for record in caplog.records] == [
        "status_not_written",
        "status_written_again",
    ]
    assert "Not a directory" in caplog.records[0].fields["error"]
    assert read_status(folder) == STATUS


def test_a_trouble_is_borne_and_told_when_it_comes_anew(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles("look_failed", "replica")
    for whose, trouble in ((0, "a"), (0, "a"), (1, "a"), (0, "b"), (0, ""), (0, None), (0, "b")):
        with troubles.borne(whose):
            if trouble is not None:
                raise ValueError(trouble)
    assert [record.message for record in caplog.records] == [
        "look_failed replica=0 reason=a",
        "look_failed replica=1 reason=a",
        "look_failed replica=0 reason=b",
        "look_failed replica=0 reason=ValueError",
        "look_failed replica=0 reason=b",
    ]
    with pytest.raises(KeyboardInterrupt), troubles.borne(0):
        raise KeyboardInterrupt
