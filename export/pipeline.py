"""Owns the order of an export: reference, graphs, comparison, gate, bundle.

Nothing is written before every graph has passed: a bundle that lacks a graph the user asked for
would be half a bundle.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
from tqdm import tqdm

from export.bundle import GRAPH_FILES, GraphFile, check_replaceable, write_bundle
from export.calibration import activation_ranges, calibration_batches
from export.checkpoint import Checkpoint, load_checkpoint
from export.config import OPSET, ExportConfig
from export.cpu import for_cpu
from export.fp16 import to_fp16
from export.graph import export_graph
from export.int8 import quantized_inputs, to_int8
from export.optimize import fuse, own_operators
from export.parity import ParityReport, Reference
from export.provenance import CALIBRATION, dev_file, provenance
from export.tensorrt.rewrite import for_tensorrt
from export.tensorrt.write import write_tensorrt
from serve.bundle import Bundle, GraphInfo, Precision, Provider, sha256
from serve.errors import DataError, ParityError
from serve.examples import Example, read_jsonl
from serve.lanes import Lanes
from serve.session import OrtBackend, default_provider
from serve.tagger import Tagger
from serve.threads import Threads, default_num_threads

MEANT_FOR = {
    Precision.FP32: Provider.CPU,
    Precision.FP16: Provider.CUDA,
    Precision.INT8: Provider.CPU,
}
MAX_CALIBRATION_LINES = 512

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A graph that has yet to pass the gate.

    Attributes:
        model: The graph.
        alone: See `GraphInfo.alone`.
    """

    model: onnx.ModelProto
    alone: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What every graph of an export is made from and held against.

    Attributes:
        config: The export's settings.
        checkpoint: The checkpoint.
        reference: PyTorch's answers on the dev lines.
        fused: The checkpoint's fused graph, FP32.
        calibration: Lines to calibrate on.
    """

    config: ExportConfig
    checkpoint: Checkpoint
    reference: Reference
    fused: onnx.ModelProto
    calibration: Sequence[str]


def export(config: ExportConfig) -> Bundle:
    """Export a checkpoint as a bundle.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        DataError: If the dev lines cannot be used.
        GraphError: If fusion or conversion did not do its work.
        ParityError: If a graph costs more than is allowed; nothing is written then.
        BundleError: If the output exists and is not a bundle.
    """
    check_replaceable(config.output)
    checkpoint = load_checkpoint(config.model)
    examples = read_dev(config, checkpoint)
    calibration = read_calibration(checkpoint, examples)
    source: dict[str, str | int] = {
        "checkpoint": config.model.name,
        "checkpoint_sha256": checkpoint.sha256,
        "num_calibration_lines": len(calibration) if config.int8 else 0,
        "num_dev_lines": len(examples),
        **provenance(config),
    }
    steps = tqdm(total=2 + len(config.precisions), desc="export", disable=not sys.stderr.isatty())
    with steps:
        steps.set_postfix_str("PyTorch on the dev lines")
        reference = Reference(checkpoint, examples)
        steps.update()
        steps.set_postfix_str("graph and fusion")
        exported = export_graph(checkpoint)
        plain = for_tensorrt(exported) if config.tensorrt else None  # fusion works in place
        fused = fuse(exported, checkpoint.shape)
        made_from = Source(config, checkpoint, reference, fused, calibration)
        steps.update()
        graphs = []
        for precision in config.precisions:
            steps.set_postfix_str(f"{precision}: convert, compare, gate")
            graphs.append(_graph_file(made_from, precision))
            steps.update()
        extras: dict[str, bytes] = {}
        if plain is not None:
            steps.set_postfix_str("TensorRT: convert, compare, gate")
            extras = write_tensorrt(config, checkpoint, reference, plain, calibration)
    return write_bundle(config.output, checkpoint, graphs, source, extras)


def read_dev(config: ExportConfig, checkpoint: Checkpoint) -> list[Example]:
    """Return the dev lines the gate scores.

    Raises:
        DataError: If there are none, or one has a label the checkpoint has not.
    """
    path = dev_file(config)
    if not path.is_file():
        raise DataError(f"{path}: expected labelled lines for the gate; name some with --data")
    examples = read_jsonl(path)
    unknown = {s.label for e in examples for s in e.spans} - set(checkpoint.tags.labels)
    if unknown or not examples:
        have = ", ".join(checkpoint.tags.labels)
        got = f"{sorted(unknown)}" if unknown else "no lines"
        raise DataError(f"{path}: expected lines labelled with {have}, got {got}")
    return examples


def read_calibration(checkpoint: Checkpoint, dev: Sequence[Example]) -> list[str]:
    """Return the lines to calibrate on: training lines, or dev lines where none came along.

    Raises:
        DataError: If the checkpoint's file of them is damaged.
    """
    path = checkpoint.folder / CALIBRATION
    examples = read_jsonl(path) if path.is_file() else dev
    if not examples:
        raise DataError(f"{path}: expected lines, got none; remove it to calibrate on dev lines")
    return [example.text for example in examples[:MAX_CALIBRATION_LINES]]


def candidates(source: Source, precision: Precision) -> Iterator[Candidate]:
    """Yield the graphs of a precision, the fastest first.

    Raises:
        GraphError: If a conversion did not do its work.
    """
    if precision is Precision.FP16:
        yield Candidate(to_fp16(source.fused))
        return
    model = for_cpu(source.fused, source.checkpoint.shape)
    if precision is Precision.FP32:
        yield Candidate(model)
        return
    batches = calibration_batches(source.checkpoint.encoder, source.calibration)
    yield Candidate(to_int8(model, activation_ranges(model, quantized_inputs(model), batches)))
    yield Candidate(to_int8(model, None), alone=True)


def _graph_file(source: Source, precision: Precision) -> GraphFile:
    """Return the first graph of a precision that passes the gate."""
    refusal: ParityError | None = None
    for candidate in candidates(source, precision):
        if refusal:
            logger.warning("calibrated %s; trying dynamic scales", refusal)
        try:
            return _gated(source, precision, candidate)
        except ParityError as error:
            refusal = error
    raise refusal or ValueError(f"expected a graph in {precision}, got none")


def _gated(source: Source, precision: Precision, candidate: Candidate) -> GraphFile:
    """Compare and gate one graph, on the provider it is meant for where there is one.

    Without a GPU, ONNX Runtime computes most of a FP16 graph in FP32, which hides what overflows.
    So PyTorch's own FP16 has to pass the gate too.
    """
    content = candidate.model.SerializeToString()
    provider = _provider_for(source.config, precision)
    allowed = source.config.allowed_loss_points(precision)
    report = _report(source, precision, content, alone=candidate.alone)
    report.check(precision, allowed, atol=source.config.atol)
    measured_on = str(provider)
    if provider is not MEANT_FOR[precision]:
        source.reference.compare_torch_fp16().check(precision, allowed)
        measured_on += " and PyTorch in FP16"
    info = GraphInfo(
        file=GRAPH_FILES[precision],
        precision=precision,
        provider=MEANT_FOR[precision],
        measured_on=measured_on,
        sha256=sha256(content),
        size_bytes=len(content),
        opset=OPSET,
        operators=own_operators(candidate.model),
        alone=candidate.alone,
        max_abs_diff=report.max_abs_diff,
        tag_agreement=report.tag_agreement,
        f1_before=report.f1_before,
        f1_after=report.f1_after,
        allowed_f1_loss_points=allowed,
    )
    return GraphFile(info, content)


def _report(source: Source, precision: Precision, content: bytes, *, alone: bool) -> ParityReport:
    """Compare a graph the way the runtime will run it."""
    checkpoint, provider = source.checkpoint, _provider_for(source.config, precision)
    backend = OrtBackend(content, provider=provider)
    lanes = Lanes(
        lambda: OrtBackend(content, provider=provider, threads=Threads(1)), default_num_threads()
    )
    tagger = Tagger(
        checkpoint.encoder,
        checkpoint.tags,
        backend,
        lanes=lanes if precision is Precision.INT8 else None,
        alone=alone,
    )
    return source.reference.compare(tagger, backend)


def _provider_for(config: ExportConfig, precision: Precision) -> Provider:
    if MEANT_FOR[precision] is Provider.CPU:
        return Provider.CPU
    return config.device.provider if config.device else default_provider()
