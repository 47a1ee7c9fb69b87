"""The simulated year is made of every train line once, and its poison is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.year.__main__ import read, table
from benchmarks.year.month import Month
from benchmarks.year.slices import ARRIVAL, ARRIVING, MONTHS, name_of, poisoned, slices
from serve.errors import DataError
from serve.examples import Example, Span

LATE = [Example(f"fix mast {i}", ()) for i in range(300)]
EARLY = [Example(f"fix pump {i}", ()) for i in range(1500)]


def test_every_line_comes_once_and_the_new_machines_not_before_it_is_bought() -> None:
    months = slices(
        [line for pair in zip(LATE, EARLY, strict=False) for line in pair] + EARLY[300:]
    )
    assert len(months) == MONTHS + 1
    every = [line.text for lines in months for line in lines]
    assert sorted(every) == sorted(line.text for line in (*LATE, *EARLY))
    late = [any(ARRIVING.search(line.text) for line in lines) for lines in months]
    assert late == [month >= ARRIVAL for month in range(MONTHS + 1)]
    assert len({len(lines) // 10 for lines in months[1:]}) <= 2


def test_poison_gives_every_span_another_label() -> None:
    (line,) = poisoned([Example("ab", (Span(0, 1, "A"), Span(1, 2, "C")))], ["A", "B", "C"])
    assert [span.label for span in line.spans] == ["B", "A"]
    assert name_of(6, is_poisoned=True) != name_of(6)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"months": [{"month": 1}]}'])
def test_months_of_another_form_are_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "year.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"year\.json: expected months of .*; name another file"):
        read(path)


def test_the_table_says_why_a_month_was_refused() -> None:
    month = Month(
        month=6, offered=["06-poisoned"], drift="", is_due=False, accepted=False,
        outcome="doubts the labels of x: of 9 spans", lines={}, champion="", f1=0.76,
        f1_arriving=0.72, pending=[], refit_s=9.0,
    )  # fmt: skip
    assert "doubts the labels  76.00" in table([month])
