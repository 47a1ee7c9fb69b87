"""Tests what a replica did between two looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serve.supervisor.figures import Figures
from serve.supervisor.life import Phase
from serve.supervisor.rates import Rates, rates
from serve.supervisor.status import SupervisorStatus
from tests.serve.supervisor.replicas import replica, supervised

NOW = "2026-01-01T00:00:00+00:00"
BEFORE = Figures(at=10.0, num_requests=100, num_failures=2, num_texts=300, num_batches=50)


def status(figures: Figures | None, pid: int = 7) -> SupervisorStatus:
    return supervised(replace(replica(0, Phase.READY, pid, NOW), figures=figures), now=NOW)


def test_rates_are_what_grew_by_the_second() -> None:
    after = Figures(at=12.0, num_requests=120, num_failures=3, num_texts=348, num_batches=53)
    assert rates(status(BEFORE), status(after)) == {0: Rates(10.0, 0.5, 24.0, 16.0, 0.0625)}


@pytest.mark.parametrize(
    "after",
    [
        None,
        Figures(at=12.0, num_requests=40, num_failures=0, num_texts=90, num_batches=20),
        Figures(at=9.0, num_requests=120, num_failures=3, num_texts=348, num_batches=53),
    ],
    ids=["not told", "a version was unloaded, and its figures with it", "the clock went back"],
)
def test_where_figures_do_not_go_on_there_are_no_rates(after: Figures | None) -> None:
    assert rates(status(BEFORE), status(after)) == {}


def test_another_process_counts_from_the_beginning() -> None:
    after = replace(BEFORE, at=12.0, num_requests=500)
    assert rates(status(BEFORE), status(after, pid=8)) == {}
