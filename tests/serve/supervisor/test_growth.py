"""Tests when a replica uses too much."""

from __future__ import annotations

import pytest

from serve.supervisor.growth import growth
from serve.supervisor.patience import Patience
from serve.supervisor.resources import Usage

PATIENCE = Patience(memory_growth_bytes=1_000_000_000, descriptors=0.8)


@pytest.mark.parametrize(
    ("used", "share", "words"),
    [
        (Usage(300_000_000, 10, 1000), 0.0125, "file descriptors: expected at most 800 of the"),
        (Usage(700_000_000, 10, 1000), 0.4, "memory: expected at most 1,000 MB more than when it"),
        (Usage(1_300_000_000, 10, 1000), 1.0, "was ready, got 1,000 MB more"),
        (Usage(300_000_000, 800, 1000), 1.0, "1,000 that are allowed, got 800"),
        (Usage(100_000_000, 0, 0), -0.2, "got -200 MB more"),
    ],
)
def test_the_limit_that_is_nearest_is_told(used: Usage, share: float, words: str) -> None:
    found, told = growth(used, 300_000_000, PATIENCE)
    assert found == pytest.approx(share) or found == pytest.approx(0.0)
    assert words in told or used.max_descriptors == 0
