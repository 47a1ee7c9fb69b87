"""Owns which INT8 graphs are tried, and in which order.

Ranges from minimum to maximum, percentile, entropy; then the best of these without the products
that harm most; then scales of the moment, which take one text at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from export.calibration import Range, activation_ranges
from export.histograms import activation_histograms, entropy_ranges, percentile_ranges
from export.int8 import quantized_inputs, quantized_nodes, to_int8
from export.judge import Candidate, Gated, Judge
from export.search import fewest_exclusions
from export.sensitivity import node_errors
from export.source import Source


def choose_int8(source: Source, judge: Judge) -> Gated | None:
    """Return the first INT8 graph that passes the gate, or None.

    Raises:
        GraphError: If an activation is not finite, or a product was left in FP32.
    """
    tried: dict[str, dict[str, Range]] = {}
    for method, ranges in _calibrations(source):
        gated = judge.passed(Candidate(to_int8(source.cpu, ranges), f"calibrated, {method}"))
        if gated is not None:
            return gated
        tried[method] = ranges
    method = judge.best_trial().method.removeprefix("calibrated, ")
    return _without_worst(source, judge, method, tried[method]) or judge.passed(
        Candidate(to_int8(source.cpu, None), "dynamic scales", alone=True)
    )


def _calibrations(source: Source) -> Iterator[tuple[str, dict[str, Range]]]:
    """Yield the ways to calibrate and the ranges each gives; the next is measured when asked."""
    ranges = activation_ranges(source.cpu, quantized_inputs(source.cpu), source.batches())
    yield "min-max", ranges
    histograms = activation_histograms(source.cpu, ranges, source.batches())
    yield "percentile", percentile_ranges(ranges, histograms)
    yield "entropy", entropy_ranges(ranges, histograms)


def _without_worst(
    source: Source, judge: Judge, method: str, ranges: dict[str, Range]
) -> Gated | None:
    """Return a graph without the products that harm most, if that brings F1 back."""
    names = quantized_nodes(source.cpu)

    def only(name: str) -> onnx.ModelProto:
        return to_int8(source.cpu, ranges, set(names) - {name})

    errors = node_errors(source, names, only)

    def passed(excluded: tuple[str, ...]) -> Gated | None:
        why = {name: f"logit error {errors[name]:.2g} by itself" for name in excluded}
        label = f"calibrated, {method}, {len(excluded)} products in FP32"
        model = to_int8(source.cpu, ranges, excluded)
        return judge.passed(Candidate(model, label, fp32_nodes=excluded), why)

    return fewest_exclusions(errors, passed)
