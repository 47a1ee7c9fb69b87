"""Tests that the supervisor's log says why it ended, where nobody reads its standard error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serve.errors import ServerError
from serve.supervisor import service
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.control import LOG
from serve.supervisor.service import run_service


def run(folder: Path) -> None:
    run_service(SupervisorConfig(folder / "none", folder, folder / "triton"), lambda status: None)


def last_record(folder: Path) -> Any:
    return json.loads((folder / "triton" / LOG).read_text().splitlines()[-1])


def test_a_start_that_fails_is_told_in_the_log_in_the_words_of_the_error(tmp_path: Path) -> None:
    with pytest.raises(ServerError) as caught:
        run(tmp_path)
    record = last_record(tmp_path)
    assert (record["level"], record["event"]) == ("ERROR", "gave_up")
    assert record["reason"] == str(caught.value)
    assert "exception" not in record, "what a user can act on needs no traceback"


def test_what_nobody_expected_is_told_with_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(config: SupervisorConfig) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(service, "Supervisor", broken)
    with pytest.raises(KeyError):
        run(tmp_path)
    record = last_record(tmp_path)
    assert (record["level"], record["event"], record["reason"]) == (
        "ERROR",
        "gave_up",
        "'a defect'",
    )
    assert "in broken" in record["exception"]


def test_an_end_by_force_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: SupervisorConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "Supervisor", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    record = last_record(tmp_path)
    assert (record["level"], record["event"]) == ("WARNING", "interrupted")
