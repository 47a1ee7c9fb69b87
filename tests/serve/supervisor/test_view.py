"""Tests the picture of a supervisor: whole numbers, whatever the terminal's width."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from serve.supervisor.figures import Figures
from serve.supervisor.health import Health
from serve.supervisor.life import Phase
from serve.supervisor.rates import Rates
from serve.supervisor.view import _COLUMNS, _SPARE, view
from tests.serve.supervisor.replicas import replica, supervised

NOW = "2026-01-01T00:00:00+00:00"


def drawn(width: int, *, url: str = "127.0.0.1:46123") -> list[str]:
    told = replace(
        replica(0, Phase.READY, 10, NOW),
        url=url,
        figures=Figures(p50_ms=1114.25, p99_ms=2345.5),
    )
    health = Health(True, True, None, supervised(told, now=NOW, pid=1, start_ticks=1))
    file = io.StringIO()
    rates = {0: Rates(12_345.0, 0.0, 67_890.0, 12.5, 0.05)}
    Console(file=file, width=width).print(view(health, rates))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_no_number_is_cut(width: int) -> None:
    _, head, row, *rest = drawn(width)
    for column in ("replica", "gRPC", "health", "version", "req/s", "p50 ms", "p99 ms", "batch"):
        assert column in head
    for cell in ("127.0.0.1:46123", "12,345", "1,114.25", "2,345.50", "12.5"):
        assert cell in row
    assert not any("…" in line for line in [head, row])
    words = "a wider terminal also shows "
    left_out = " ".join(rest).removeprefix(words).split(", ") if rest else []
    assert left_out == [*_SPARE[: len(left_out)]]
    assert [name for name in _COLUMNS if name not in left_out] == [
        name for name in _COLUMNS if name in head
    ]


def test_what_is_wrong_stands_above_the_rows_which_a_low_terminal_cuts_off() -> None:
    rows = [replica(number, Phase.WAITING, 10, NOW) for number in range(22)]
    status = replace(supervised(*rows, now=NOW), warnings=("Triton is old",))
    file = io.StringIO()
    Console(file=file, width=160).print(view(Health(True, False, "0 of 22 ready", status), {}))
    lines = file.getvalue().splitlines()
    assert lines[1:3] == ["problem: 0 of 22 ready", "warning: Triton is old"]
    assert lines[3].startswith("replica")


def test_a_wide_terminal_shows_all() -> None:
    _, head, _ = drawn(160)
    assert all(column in head for column in _COLUMNS)


def test_an_address_in_brackets_is_no_markup() -> None:
    assert "[fd00::5]:8001" in drawn(160, url="[fd00::5]:8001")[2]
