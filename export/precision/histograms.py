"""Owns the tighter ranges: activations whose rarest values are cut off for finer steps.

Two rules over one histogram of each activation, both ONNX Runtime's:
* *percentile*: half of 0.01 % of the values lies beyond each end;
* *entropy*: the range whose steps tell least apart what was alike, by Kullback-Leibler divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from export.precision.calibration import Range, activation_ranges, run_activations
from serve.encoding import EncodedBatch

PERCENTILE = 99.99
NUM_BINS = 2048
_ENTROPY_BINS = 512  # ONNX Runtime's search takes 0.1 s an activation with so many, 2 s with 2048
_ENTROPY_LEVELS = 128  # its default

Histograms = Mapping[str, NDArray[np.int64]]


def calibrations(
    model: onnx.ModelProto, names: Sequence[str], batches: Callable[[], Iterable[EncodedBatch]]
) -> Iterator[tuple[str, dict[str, Range]]]:
    """Yield what each way to calibrate is called and the ranges it gives, the plainest first.

    Args:
        model: The graph.
        names: Its float tensors to measure.
        batches: Returns the calibration lines, without padding, each time anew.

    Raises:
        GraphError: If a tensor is not finite.
    """
    ranges = activation_ranges(model, names, batches())
    yield "min-max", ranges
    histograms = activation_histograms(model, ranges, batches())
    yield "percentile", percentile_ranges(ranges, histograms)
    yield "entropy", entropy_ranges(ranges, histograms)


def activation_histograms(
    model: onnx.ModelProto, ranges: Mapping[str, Range], batches: Iterable[EncodedBatch]
) -> dict[str, NDArray[np.int64]]:
    """Return how often each activation's values fall into each of `NUM_BINS` bins.

    Args:
        model: The graph.
        ranges: Smallest and largest value of each activation on these batches.
        batches: The batches, without padding.

    Returns:
        Counts by name; the bins reach equally far to both sides of 0, see `bin_edges`.
    """
    counts = {name: np.zeros(NUM_BINS, dtype=np.int64) for name in ranges}
    for activations in run_activations(model, list(ranges), batches):
        for name, value in activations.items():
            reach = _reach(ranges[name])
            counts[name] += np.histogram(value, bins=NUM_BINS, range=(-reach, reach))[0]
    return counts


def percentile_ranges(ranges: Mapping[str, Range], histograms: Histograms) -> dict[str, Range]:
    """Return ranges that a share of the values lies beyond, half of it at each end."""
    beyond = (100 - PERCENTILE) / 200
    cut = {}
    for name, counts in histograms.items():
        below = np.cumsum(counts) / counts.sum()
        edges = bin_edges(ranges[name], NUM_BINS)
        first = int(np.searchsorted(below, beyond, side="right"))
        last = int(np.searchsorted(below, 1 - beyond))
        cut[name] = _within(ranges[name], edges[first], edges[last + 1])
    return cut


def entropy_ranges(ranges: Mapping[str, Range], histograms: Histograms) -> dict[str, Range]:
    """Return the ranges of least divergence, by ONNX Runtime's own search."""
    search = HistogramCollector(
        method="entropy", symmetric=False, num_bins=_ENTROPY_BINS,
        num_quantized_bins=_ENTROPY_LEVELS, percentile=PERCENTILE, scenario="same",
    )  # fmt: skip
    best = {}
    for name, counts in histograms.items():
        coarse = counts.reshape(_ENTROPY_BINS, -1).sum(axis=1)
        edges = bin_edges(ranges[name], _ENTROPY_BINS)
        histogram = (coarse, edges, edges[0], edges[-1], edges[-1])
        low, high = search.get_entropy_threshold(histogram, _ENTROPY_LEVELS)[:2]
        best[name] = _within(ranges[name], float(low), float(high))
    return best


def bin_edges(measured: Range, num_bins: int) -> NDArray[np.float64]:
    """Return the edges of an activation's bins. Shape: (bins + 1,)."""
    reach = _reach(measured)
    return np.linspace(-reach, reach, num_bins + 1)


def _reach(measured: Range) -> float:
    return max(-measured.low, measured.high) or 1.0  # 1: there were only zeros


def _within(measured: Range, low: float, high: float) -> Range:
    """Return a range cut to what was measured, 0 included."""
    return Range(min(max(low, measured.low), 0.0), max(min(high, measured.high), 0.0))
