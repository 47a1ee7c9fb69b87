"""Owns which FP16 graphs are tried, and in which order.

All but the nodes that meet values beyond FP16's range; then also without the most sensitive ones.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import onnx

from export.gate import check_gate
from export.judge import MEANT_FOR, Candidate, Gated, Judge
from export.precision.fp16 import to_fp16
from export.precision.fp16_range import Extent, activation_extents, node_name, nodes_beyond
from export.precision.rounding import rounded_to_fp16
from export.precision.search import fewest_exclusions
from export.precision.sensitivity import logit_errors
from export.source import Source
from serve.bundle import Precision
from serve.errors import ParityError

NUM_EXTENT_LINES = 128
"""Calibration lines that FP16's range is held against; the gate sees all dev lines."""

Extents = dict[str, Extent]


def choose_fp16(source: Source, judge: Judge) -> Gated | None:
    """Return the first FP16 graph that passes the gate, or None.

    Raises:
        ParityError: If no node is known to need FP32, and PyTorch in FP16 fails, not by chance.
    """
    batches = source.batches(NUM_EXTENT_LINES)
    extents = activation_extents(source.fused, source.cpu, batches)
    reasons = nodes_beyond(source.fused, extents)
    if not reasons and not _on_gpu(judge):
        # What fused kernels round inside is seen by no stand-in of ours. Where nodes stay FP32,
        # PyTorch, which has none, would fail by what they hold.
        _check_torch(source, judge)
    candidate = _candidate(source, judge, tuple(reasons), extents)
    return judge.passed(candidate, reasons) or _without_worst(source, judge, reasons, extents)


def _check_torch(source: Source, judge: Judge) -> None:
    """Refuse what costs PyTorch F1, if that is told from chance: its rounding is not the graph's.

    A tag near a tie that only PyTorch's FP16 turns says nothing of the graph, which is itself held
    to the allowance, however few the lines.
    """
    report, allowed = source.reference.compare_torch_fp16(), judge.allowed
    if report.f1.overall.interval_points[0] <= 0:
        allowed = replace(allowed, points=math.inf)
    try:
        check_gate(report, Precision.FP16, allowed)
    except ParityError as error:
        raise ParityError(
            f"{error}; it is PyTorch in FP16 that lost it, which stands in for a GPU's kernels: "
            "export on a GPU to have the graph itself judged"
        ) from error


def _without_worst(
    source: Source, judge: Judge, reasons: dict[str, str], extents: Extents
) -> Gated | None:
    """Return a graph that also keeps the most sensitive nodes, if that brings F1 back."""
    nodes = source.fused.graph.node
    names = [node_name(node) for node in nodes if set(node.output) & extents.keys()]

    def only(name: str) -> onnx.ModelProto:
        return rounded_to_fp16(source.fused, set(names) - {name}, extents)

    errors = logit_errors(source, [name for name in names if name not in reasons], only)

    def passed(excluded: tuple[str, ...]) -> Gated | None:
        why = reasons | {name: f"logit error {errors[name]:.2g} by itself" for name in excluded}
        return judge.passed(_candidate(source, judge, tuple(why), extents), why)

    return fewest_exclusions(errors, passed)


def _candidate(
    source: Source, judge: Judge, fp32_nodes: tuple[str, ...], extents: Extents
) -> Candidate:
    stand_in = partial(rounded_to_fp16, source.fused, fp32_nodes, extents)
    return Candidate(
        to_fp16(source.fused, fp32_nodes, extents),
        f"FP16, {len(fp32_nodes)} nodes in FP32" if fp32_nodes else "FP16",
        fp32_nodes=fp32_nodes,
        stand_in=None if _on_gpu(judge) else stand_in,
    )


def _on_gpu(judge: Judge) -> bool:
    return judge.provider is MEANT_FOR[Precision.FP16]
