"""Owns the trial of a graph: compare it as the runtime will run it, gate it, keep the record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import onnx

from export.bundle import GRAPH_FILES, GraphFile
from export.config import OPSET, Device, ExportConfig
from export.fusion.fuse import own_operators
from export.gate import Allowance, check_gate, gated_labels
from export.parity import ParityReport, worst_of
from export.source import Source
from serve.bundle import GraphInfo, Precision, Provider, sha256
from serve.errors import GraphError, ParityError
from serve.running.lanes import Lanes
from serve.running.threads import Threads, default_num_threads
from serve.session import OrtBackend, default_provider

MEANT_FOR = {
    Precision.FP32: Provider.CPU,
    Precision.FP16: Provider.CUDA,
    Precision.PACKED: Provider.CUDA,
    Precision.INT8: Provider.CPU,
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A graph that has yet to pass the gate.

    Attributes:
        model: The graph.
        method: How it was made, in a few words.
        alone: See `GraphInfo.alone`.
        fp32_nodes: Nodes that were left in FP32 by measurement.
        stand_in: Makes the graph that shows a GPU's rounding on a CPU, if this one is meant for a
            GPU; only when it is compared, for it is as large as the model.
    """

    model: onnx.ModelProto
    method: str
    alone: bool = False
    fp32_nodes: tuple[str, ...] = ()
    stand_in: Callable[[], onnx.ModelProto] | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """The record of one graph that was tried.

    Attributes:
        method: How it was made.
        fp32_nodes: Nodes that were left in FP32 by measurement.
        f1: Its micro entity F1 on the dev lines, in [0, 1]; the stand-in's where that is lower.
        refusal: Why the gate closed, or None if it passed.
    """

    method: str
    fp32_nodes: tuple[str, ...]
    f1: float
    refusal: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Gated:
    """A graph that passed the gate, and how it came to that.

    Attributes:
        file: The graph.
        parity: How far its answers are from PyTorch's, at the worst of its comparisons.
        method: How it was made.
        trials: What was tried for it, in order; it is among them.
        reasons: Why each node that stayed FP32 did.
    """

    file: GraphFile
    parity: ParityReport
    method: str
    trials: tuple[Trial, ...]
    reasons: dict[str, str]


def provider_for(config: ExportConfig, precision: Precision) -> Provider:
    """Return what a precision's graphs are compared on.

    Raises:
        GraphError: If nothing here runs them.
    """
    found = default_provider()
    if config.device is Device.CUDA and found is not Provider.CUDA:
        raise GraphError(
            f"--device cuda: expected {Provider.CUDA} and a GPU, got {found}; leave it out, or "
            "export on a machine with a GPU that CUDA_VISIBLE_DEVICES shows, and onnxruntime-gpu"
        )
    if MEANT_FOR[precision] is Provider.CPU:
        return Provider.CPU
    provider = config.device.provider if config.device else found
    if precision.needs_cuda and provider is not Provider.CUDA:
        raise GraphError(
            f"--{precision}: expected {Provider.CUDA}, without which the graph cannot be compared, "
            f"got {provider}; leave it out, or export on a machine with a GPU and onnxruntime-gpu"
        )
    return provider


class Judge:
    """Tries graphs of one precision.

    Attributes:
        allowed: What they may lose.
        provider: What runs them: the one they are meant for, or the CPU where it is not at hand.
        trials: The record, in order.
    """

    def __init__(self, source: Source, precision: Precision) -> None:
        """Take what the graphs are held against."""
        self._source = source
        self._precision = precision
        self.allowed = Allowance.of(source.config, precision)
        self.provider = provider_for(source.config, precision)
        self.trials: list[Trial] = []

    def passed(self, candidate: Candidate, reasons: dict[str, str] | None = None) -> Gated | None:
        """Compare and gate a graph; return it if it passed, and why its nodes stayed FP32."""
        reports: list[ParityReport] = []
        refusal = None
        try:
            for report in self._reports(candidate):
                reports.append(report)
                check_gate(report, self._precision, self.allowed)
        except ParityError as error:
            refusal = str(error)
            logger.warning("%s: %s", candidate.method, error)
        worst = worst_of(reports)
        f1 = worst.f1.overall.after
        self.trials.append(Trial(candidate.method, candidate.fp32_nodes, f1, refusal))
        if refusal:
            return None
        content = candidate.model.SerializeToString()  # only now: the stand-in is large enough
        file = GraphFile(self._info(candidate, content, worst), content)
        return Gated(file, worst, candidate.method, tuple(self.trials), reasons or {})

    def best_trial(self) -> Trial:
        """Return the trial with the highest F1, the first of equals."""
        return max(self.trials, key=lambda trial: trial.f1)

    def best_refusal(self) -> ParityError:
        """Return why the refused graph with the highest F1 was refused."""
        refused = [trial for trial in self.trials if trial.refusal]
        return ParityError(max(refused, key=lambda trial: trial.f1).refusal)

    def _reports(self, candidate: Candidate) -> Iterator[ParityReport]:
        yield self._compared(candidate.model.SerializeToString(), alone=candidate.alone)
        if candidate.stand_in is not None:
            yield self._compared(candidate.stand_in().SerializeToString(), alone=False)

    def _compared(self, content: bytes, *, alone: bool) -> ParityReport:
        """Compare a graph the way the runtime will run it."""
        provider = self.provider
        records = not self._precision.needs_cuda
        backend = OrtBackend(content, provider=provider, cuda_graphs=records)
        lanes = None
        if self._precision is Precision.INT8:
            lane = OrtBackend(content, provider=provider, threads=Threads(1))
            lanes = Lanes(lane, default_num_threads())
        mixed = self._precision is Precision.PACKED
        tagger = self._source.checkpoint.tagger(backend, lanes=lanes, alone=alone, mixed=mixed)
        return self._source.reference.compare(tagger, backend)

    def _info(self, candidate: Candidate, content: bytes, report: ParityReport) -> GraphInfo:
        overall = report.f1.overall
        labels = gated_labels(report).items()
        rounded = "" if candidate.stand_in is None else ", and with every number rounded to FP16"
        return GraphInfo(
            file=GRAPH_FILES[self._precision],
            precision=self._precision,
            provider=MEANT_FOR[self._precision],
            measured_on=f"{self.provider}{rounded}",
            sha256=sha256(content),
            size_bytes=len(content),
            opset=OPSET,
            operators=own_operators(candidate.model),
            alone=candidate.alone,
            max_abs_diff=report.max_abs_diff,
            tag_agreement=report.tag_agreement,
            f1_before=overall.before,
            f1_after=overall.after,
            f1_loss_interval_points=overall.interval_points,
            label_f1_loss_points={label: change.loss_points for label, change in labels},
            allowed_f1_loss_points=self.allowed.points,
            allowed_label_f1_loss_points=self.allowed.label_points,
            fp32_nodes=candidate.fp32_nodes,
        )
