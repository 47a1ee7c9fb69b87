"""Tests that a log file on a full disk hides nothing else."""

from __future__ import annotations

import json
import logging
import os
import select
from pathlib import Path

import pytest

from serve.journal import console, journal


@pytest.fixture
def record() -> logging.LogRecord:
    return logging.LogRecord("serve", logging.INFO, __file__, 1, "ready %s", ("now",), None)


def test_a_record_is_a_json_line(tmp_path: Path, record: logging.LogRecord) -> None:
    handler = journal(tmp_path / "supervisor.log")
    handler.handle(record)
    handler.close()
    assert json.loads((tmp_path / "supervisor.log").read_text())["event"] == "ready now"


def test_what_a_full_disk_does_not_take_is_lost_without_a_word(
    tmp_path: Path, record: logging.LogRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "supervisor.log").symlink_to("/dev/full")
    handler = journal(tmp_path / "supervisor.log")
    handler.handle(record)
    handler.handle(record)
    handler.close()
    assert capsys.readouterr().err == ""


def test_warnings_are_told_on_standard_error_and_steer_no_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logger, handler = logging.getLogger("of a test"), console()
    logger.addHandler(handler)
    logger.info("ready")
    logger.error("replica_ending reason=%s", "\x1b[2J")
    logger.removeHandler(handler)
    line = capfd.readouterr().err
    assert line.endswith(" ERROR replica_ending reason=\N{REPLACEMENT CHARACTER}[2J\n")
    assert line.count("\n") == 1


def test_what_a_reader_that_stands_still_does_not_take_is_passed_over(
    record: logging.LogRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe, open(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        handler = console()
        record.levelno, record.args = logging.WARNING, ("\N{SNOWMAN}" * 2000,)
        for _ in range(100):  # 600,000 bytes, where a pipe has room for 65,536
            handler.handle(record)
        taken = pipe.read1().decode()
        assert 0 < taken.count("ready") < 100
        assert max(len(line.encode()) for line in taken.splitlines()) < select.PIPE_BUF
        handler.handle(record)
        assert "ready" in pipe.read1().decode()


def test_a_standard_error_that_was_closed_is_told_nothing(
    record: logging.LogRecord, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with open(os.devnull, "w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        handler = console()
    record.levelno = logging.ERROR
    handler.handle(record)  # raises nothing at whoever logs
    assert capfd.readouterr() == ("", "")


def test_a_record_that_is_wrong_in_itself_is_told(
    tmp_path: Path, record: logging.LogRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = journal(tmp_path / "supervisor.log")
    record.args = ("too", "many")
    handler.handle(record)
    handler.close()
    assert "TypeError" in capsys.readouterr().err
