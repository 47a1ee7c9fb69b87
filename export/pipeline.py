"""Owns the order of an export: reference, graphs, comparison, gate, bundle.

Nothing is written before every graph has passed: a bundle that lacks a graph the user asked for
would be half a bundle.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import onnx
from tqdm import tqdm

from export.bundle import GRAPH_FILES, GraphFile, check_replaceable, write_bundle
from export.checkpoint import Checkpoint, load_checkpoint
from export.config import OPSET, ExportConfig
from export.graph import export_graph
from export.optimize import count_fused, fuse
from export.parity import Reference
from export.precision import to_fp16, to_int8
from serve.bundle import Bundle, GraphInfo, Precision, Provider, sha256
from serve.errors import DataError
from serve.examples import Example, read_jsonl
from serve.lanes import Lanes
from serve.session import OrtBackend, default_provider
from serve.tagger import Tagger

CONVERT: dict[Precision, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    Precision.FP32: lambda graph: graph,
    Precision.FP16: to_fp16,
    Precision.INT8: to_int8,
}
MEANT_FOR = {
    Precision.FP32: Provider.CPU,
    Precision.FP16: Provider.CUDA,
    Precision.INT8: Provider.CPU,
}


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
    steps = tqdm(total=2 + len(config.precisions), desc="export", disable=not sys.stderr.isatty())
    with steps:
        steps.set_postfix_str("PyTorch on the dev lines")
        reference = Reference(checkpoint, examples)
        steps.update()
        steps.set_postfix_str("graph and fusion")
        fused = fuse(export_graph(checkpoint), checkpoint.shape)
        steps.update()
        graphs = []
        for precision in config.precisions:
            steps.set_postfix_str(f"{precision}: convert, compare, gate")
            graphs.append(_graph_file(config, checkpoint, reference, fused, precision))
            steps.update()
    source: dict[str, str | int] = {
        "checkpoint": config.model.name,
        "checkpoint_sha256": checkpoint.sha256,
        "num_dev_lines": len(examples),
    }
    return write_bundle(config.output, checkpoint, graphs, source)


def read_dev(config: ExportConfig, checkpoint: Checkpoint) -> list[Example]:
    """Return the dev lines the gate scores.

    Raises:
        DataError: If there are none, or one has a label the checkpoint has not.
    """
    path = config.data or checkpoint.folder / "dev.jsonl"
    if not path.is_file():
        raise DataError(f"{path}: expected labelled lines for the gate; name some with --data")
    examples = read_jsonl(path)
    unknown = {s.label for e in examples for s in e.spans} - set(checkpoint.tags.labels)
    if unknown or not examples:
        have = ", ".join(checkpoint.tags.labels)
        got = f"{sorted(unknown)}" if unknown else "no lines"
        raise DataError(f"{path}: expected lines labelled with {have}, got {got}")
    return examples


def _graph_file(
    config: ExportConfig,
    checkpoint: Checkpoint,
    reference: Reference,
    fused: onnx.ModelProto,
    precision: Precision,
) -> GraphFile:
    """Convert, compare and gate one graph, on the provider it is meant for where there is one.

    Without a GPU, ONNX Runtime computes most of a FP16 graph in FP32, which hides what overflows.
    So PyTorch's own FP16 has to pass the gate too.
    """
    content = CONVERT[precision](fused).SerializeToString()
    provider = _provider_for(precision)
    backend = OrtBackend(content, provider=provider)
    alone = precision is Precision.INT8
    lanes = Lanes(lambda: OrtBackend(content, provider=provider, num_threads=1), 2)
    tagger = Tagger(checkpoint.encoder, checkpoint.tags, backend, lanes=lanes if alone else None)
    report = reference.compare(tagger, backend)
    allowed = config.allowed_loss_points(precision)
    report.check(precision, allowed)
    measured_on = str(provider)
    if provider is not MEANT_FOR[precision]:
        reference.compare_torch_fp16().check(precision, allowed)
        measured_on += " and PyTorch in FP16"
    info = GraphInfo(
        file=GRAPH_FILES[precision],
        precision=precision,
        provider=MEANT_FOR[precision],
        measured_on=measured_on,
        sha256=sha256(content),
        size_bytes=len(content),
        opset=OPSET,
        fused=count_fused(fused, checkpoint.shape),
        max_abs_diff=report.max_abs_diff,
        tag_agreement=report.tag_agreement,
        f1_before=report.f1_before,
        f1_after=report.f1_after,
        allowed_f1_loss_points=allowed,
    )
    return GraphFile(info, content)


def _provider_for(precision: Precision) -> Provider:
    return Provider.CPU if MEANT_FOR[precision] is Provider.CPU else default_provider()
