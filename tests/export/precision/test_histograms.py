"""Calibration that cuts off the rarest values."""

from __future__ import annotations

import numpy as np
import pytest

from export.precision.calibration import Range
from export.precision.histograms import NUM_BINS, bin_edges, entropy_ranges, percentile_ranges

WIDE = Range(-1.0, 100.0)  # one value in a million lies beyond 4


def histogram(measured: Range, values: np.ndarray) -> np.ndarray:
    return np.histogram(values, bins=bin_edges(measured, NUM_BINS))[0]


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    bulk = np.abs(np.random.default_rng(0).normal(size=200_000)) - 1
    return np.concatenate([bulk, [100.0]])


def test_the_percentile_cuts_a_lone_outlier_and_keeps_the_rest(values: np.ndarray) -> None:
    found = percentile_ranges({"x": WIDE}, {"x": histogram(WIDE, values)})["x"]
    assert found.high == pytest.approx(np.percentile(values, 99.995), abs=0.1)
    assert found.low == pytest.approx(-1.0, abs=0.1)


def test_the_whole_range_stays_where_nothing_is_rare() -> None:
    even = Range(-2.0, 6.0)
    counts = histogram(even, np.linspace(-2, 6, 100_000))
    found = percentile_ranges({"x": even}, {"x": counts})["x"]
    assert (found.low, found.high) == pytest.approx((-2, 6), abs=0.01)


def test_entropy_cuts_the_outlier_too_and_never_widens(values: np.ndarray) -> None:
    found = entropy_ranges({"x": WIDE}, {"x": histogram(WIDE, values)})["x"]
    assert WIDE.low <= found.low <= 0 < found.high < 50


def test_an_activation_of_zeros_has_a_range() -> None:
    nothing = Range(0.0, 0.0)
    counts = histogram(nothing, np.zeros(10))
    for found in (percentile_ranges({"x": nothing}, {"x": counts}),):
        assert (found["x"].low, found["x"].high) == (0.0, 0.0)
