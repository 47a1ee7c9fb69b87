"""Tests the picture that is drawn anew on a terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from serve.__main__ import main
from serve.commands import top
from serve.supervisor.health import Health
from serve.supervisor.health import read_health as really_read

NUM_LOOKS = 4


class Terminal(io.StringIO):
    """A terminal that is only written to."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_waits_between_two_looks_although_no_supervisor_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", Terminal())
    pauses: list[float] = []
    looks: list[Path] = []

    def look(folder: Path) -> Health:
        looks.append(folder)
        if len(looks) > NUM_LOOKS:
            raise KeyboardInterrupt
        return really_read(folder)

    monkeypatch.setattr(top, "read_health", look)
    monkeypatch.setattr("serve.commands.top.time.sleep", pauses.append)
    assert main(["top", "--interval", "7"]) == 1
    assert pauses == [7.0] * NUM_LOOKS, "one before each look but the first"


def test_a_snapshot_of_nothing_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pauses: list[float] = []
    monkeypatch.setattr("serve.commands.top.time.sleep", pauses.append)
    assert main(["top"]) == 1
    assert capsys.readouterr().out.startswith("no: not started")
    assert pauses == []
