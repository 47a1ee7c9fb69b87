"""Calibration that cuts off the rarest values."""

from __future__ import annotations

import numpy as np
import pytest

from export.precision.calibration import Range
from export.precision.histograms import (
    NUM_BINS,
    activation_histograms,
    bin_edges,
    calibrations,
    entropy_ranges,
    percentile_ranges,
)
from tests.export.precision.signed import batch_of, signed

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


def test_values_of_all_batches_are_counted_in_bins_that_reach_as_far_to_both_sides() -> None:
    measured = Range(0.0, 9.0)
    batches = [batch_of(3, 5, 0), batch_of(9), batch_of(3, 3)]
    counts = activation_histograms(signed(1.0), {"x": measured}, batches)["x"]
    assert counts.tolist() == histogram(measured, np.array([3, 5, 0, 9, 3, 3])).tolist()
    assert bin_edges(measured, NUM_BINS)[[0, -1]].tolist() == [-9.0, 9.0]


def test_each_way_to_calibrate_is_named_and_none_is_wider_than_the_plainest() -> None:
    ids = np.random.default_rng(0).integers(0, 20, size=2_000).tolist()
    batches = [batch_of(*ids, 99)]
    found = dict(calibrations(signed(-1.0), ["x"], lambda: batches))
    assert list(found) == ["min-max", "percentile", "entropy"]
    assert found["min-max"]["x"] == Range(-99.0, 0.0)
    assert all(-99.0 <= ranges["x"].low < ranges["x"].high == 0.0 for ranges in found.values())


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
