"""Owns which INT8 graphs are tried, and in which order.

Ranges from minimum to maximum, percentile, entropy, with weights fitted to each: the one whose
logits are nearest to FP32's on calibration lines first, for a graph may pass the gate by luck; then
the best of these ranges with the weights as trained, without the products that harm most; then
scales of the moment, which take one text at a time. Where no fixed range cuts an activation off,
nothing else may, either: those graphs are made without `export.precision.split`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx

from export.judge import Candidate, Gated, Judge
from export.precision.calibration import Range
from export.precision.fit import fit
from export.precision.histograms import calibrations
from export.precision.int8 import quantized_inputs, quantized_nodes, to_int8
from export.precision.search import fewest_exclusions
from export.precision.sensitivity import logit_errors
from export.precision.smooth import Reach, channel_reach, divided, smooth
from export.precision.split import split, splittable
from export.source import Source

NUM_LINES = 128
"""Calibration lines that tell how far each channel reaches, and what weights are fitted to."""


def choose_int8(source: Source, judge: Judge) -> Gated | None:
    """Return the first INT8 graph that passes the gate, or None.

    Raises:
        GraphError: If an activation is not finite, or a product was left in FP32.
    """
    evened = _Evened.of(source)
    model = evened.model()
    found = calibrations(model, quantized_inputs(model), source.batches)
    tried = {f"calibrated, {way}": ranges for way, ranges in found}
    gated = _nearest(source, judge, model, tried)
    del model  # as large as the checkpoint, and made anew below
    if gated is not None:
        return gated
    ranges = tried[judge.best_trial().method]
    return _without_worst(source, judge, evened, ranges) or judge.passed(
        Candidate(to_int8(evened.smooth(), None), "dynamic scales", alone=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Evened:
    """Makes the graph whose activations integers have enough steps for.

    Attributes:
        cpu: The graph to start from.
        reach: How far each channel goes on calibration lines.
    """

    cpu: onnx.ModelProto
    reach: Reach

    @classmethod
    def of(cls, source: Source) -> _Evened:
        names = [*divided(source.cpu), *splittable(source.cpu)]
        return cls(source.cpu, channel_reach(source.cpu, names, source.batches(NUM_LINES)))

    def smooth(self) -> onnx.ModelProto:
        """Return the graph for ranges of the moment: nothing is cut off."""
        return smooth(self.cpu, self.reach)

    def model(self, fp32_nodes: Collection[str] = ()) -> onnx.ModelProto:
        """Return the graph for fixed ranges; products that stay FP32 read all there is."""
        return split(self.smooth(), self.reach, whole_for=fp32_nodes)


def _nearest(
    source: Source, judge: Judge, model: onnx.ModelProto, tried: dict[str, dict[str, Range]]
) -> Gated | None:
    """Return the graph with the ranges nearest to FP32 that pass, if any do."""
    errors = logit_errors(source, list(tried), lambda method: to_int8(model, tried[method]))
    for method in reversed(errors):
        fitted = fit(model, tried[method], lambda: source.batches(NUM_LINES))
        quantized = to_int8(fitted.model, tried[method], steps=fitted.steps)
        gated = judge.passed(Candidate(quantized, method))
        if gated is not None:
            return gated
    return None


def _without_worst(
    source: Source, judge: Judge, evened: _Evened, ranges: dict[str, Range]
) -> Gated | None:
    """Return a graph without the products that harm most, if that brings F1 back."""
    best = judge.best_trial().method
    errors = _harm(source, evened.model(), ranges)

    def passed(excluded: tuple[str, ...]) -> Gated | None:
        why = {name: f"logit error {errors[name]:.2g} by itself" for name in excluded}
        label = f"{best}, {len(excluded)} products in FP32"
        quantized = to_int8(evened.model(excluded), ranges, excluded)
        return judge.passed(Candidate(quantized, label, fp32_nodes=excluded), why)

    return fewest_exclusions(errors, passed)


def _harm(source: Source, model: onnx.ModelProto, ranges: dict[str, Range]) -> dict[str, float]:
    """Return the error that each product brings into the logits, the largest first."""
    names = quantized_nodes(model)

    def only(name: str) -> onnx.ModelProto:
        return to_int8(model, ranges, set(names) - {name})

    return logit_errors(source, names, only)
