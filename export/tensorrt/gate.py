"""Owns the gate of the TensorRT graphs: which of several is taken, and what it scored."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from export.bundle import GRAPH_FILES
from export.gate import Allowance, check_gate
from export.parity import ParityReport, worst_of
from export.source import Source
from serve.bundle import Precision, Provider
from serve.errors import ParityError
from serve.session import OrtBackend

logger = logging.getLogger(__name__)

MEASURED_ON = {
    Precision.FP16: f"{Provider.CPU} and PyTorch in FP16",
    Precision.INT8: f"{Provider.CPU}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """What a graph scored; the figures are those of `serve.bundle.GraphInfo`.

    Each is the worst on what it was measured on.
    """

    file: str
    precision: Precision
    method: str
    measured_on: str
    max_abs_diff: float
    tag_agreement: float
    f1_before: float
    f1_after: float
    allowed_f1_loss_points: float
    allowed_label_f1_loss_points: float


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """A graph that passed, and its record."""

    graph: onnx.ModelProto
    record: GateRecord


def first_passed(
    source: Source, precision: Precision, graphs: Iterable[tuple[str, onnx.ModelProto]]
) -> Passed:
    """Return the first graph that passes the gate; each comes with how it was made.

    Raises:
        ParityError: If none does: why the last did not.
    """
    refusal: tuple[str, ParityError] | None = None
    for method, graph in graphs:
        if refusal:  # there is another: only now is it worth a word
            logger.warning("%s: %s", *refusal)
        try:
            return Passed(graph, _record(source, precision, method, graph))
        except ParityError as error:
            refusal = method, error
    raise refusal[1] if refusal else ValueError("expected a graph to try, got none")


def _record(
    source: Source, precision: Precision, method: str, graph: onnx.ModelProto
) -> GateRecord:
    reference = source.reference
    allowed = Allowance.of(source.config, precision)
    backend = OrtBackend(graph.SerializeToString(), ids="int32")
    reports = [reference.compare(source.checkpoint.tagger(backend), backend)]
    _check(reports[0], precision, allowed)
    if precision is Precision.FP16:  # INT8 does the rest in FP16 too, with a wider allowance
        reports.append(reference.compare_torch_fp16())
        _check(reports[1], precision, allowed)
    report = worst_of(reports)
    return GateRecord(
        file=GRAPH_FILES[precision],
        precision=precision,
        method=method,
        measured_on=MEASURED_ON[precision],
        max_abs_diff=report.max_abs_diff,
        tag_agreement=report.tag_agreement,
        f1_before=report.f1.overall.before,
        f1_after=report.f1.overall.after,
        allowed_f1_loss_points=allowed.points,
        allowed_label_f1_loss_points=allowed.label_points,
    )


def _check(report: ParityReport, precision: Precision, allowed: Allowance) -> None:
    try:
        check_gate(report, precision, allowed)
    except ParityError as error:
        raise ParityError(f"TensorRT {error}; or leave --tensorrt out") from error
