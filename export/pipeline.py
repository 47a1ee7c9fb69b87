"""Owns the order of an export: reference, graphs, comparison, gate, bundle.

Nothing is written before every graph has passed: a bundle that lacks a graph the user asked for
would be half a bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from export.bundle import REPORTS, check_replaceable, write_bundle
from export.checkpoint import Checkpoint, load_checkpoint
from export.config import ExportConfig
from export.fusion.cpu import for_cpu
from export.fusion.fuse import fuse
from export.graph import export_graph
from export.judge import Gated, provider_for
from export.parity import Reference
from export.precision.choose import choose_graph
from export.provenance import CALIBRATION, DEV, check_unchanged, dev_file, provenance
from export.reports.html import as_html
from export.reports.latency import measure_latency
from export.reports.report import Report, as_json
from export.source import Source
from export.tensorrt.rewrite import for_tensorrt
from export.tensorrt.triton import check_packages
from export.tensorrt.write import write_tensorrt
from serve.artefacts.pretrained import Pretrained
from serve.bundle import Bundle
from serve.errors import DataError
from serve.examples import Example, read_jsonl

MAX_CALIBRATION_LINES = 512
MAX_LINES_BYTES = 2**30


def export(config: ExportConfig) -> Bundle:
    """Export a checkpoint as a bundle.

    Raises:
        CheckpointError: If the checkpoint cannot be used, or changes meanwhile.
        DataError: If the dev lines cannot be used.
        GraphError: If fusion or conversion did not do its work, or a graph needs a GPU to compare.
        ParityError: If a graph costs more than is allowed; nothing is written then.
        BundleError: If the output exists and is not a bundle.
        ServerError: If TensorRT's graphs are asked for, and tritonclient is not installed.
    """
    check_replaceable(config.output)
    if config.tensorrt:
        check_packages()
    for precision in config.precisions:
        provider_for(config, precision)  # before minutes are spent
    checkpoint = load_checkpoint(config.model)
    check_lines(config)
    origin = provenance(config, checkpoint.snapshot)
    examples = read_dev(config, checkpoint)
    calibration = read_calibration(checkpoint, examples)
    source: dict[str, str | int] = {
        "checkpoint": _name(config.model),
        "num_calibration_lines": len(calibration) if config.int8 else 0,
        "num_dev_lines": len(examples),
        **origin,
    }
    graphs, extras = _made(config, checkpoint, examples, calibration)
    check_unchanged(config, checkpoint.snapshot, origin)
    files = [graph.file for graph in graphs]
    return write_bundle(config.output, checkpoint, files, source, extras)


def _name(folder: Path) -> str:
    """Return a folder's own name, which `.` and `..` are not; a link's stays the link's."""
    return folder.resolve().name if folder.name in ("", "..") else folder.name


def _made(
    config: ExportConfig,
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    calibration: Sequence[str],
) -> tuple[list[Gated], dict[str, bytes]]:
    """Return the graphs that passed, and the other files of the bundle by their path in it."""
    with tqdm(total=3 + len(config.precisions), desc="export", disable=None) as steps:
        steps.set_postfix_str("PyTorch on the dev lines")
        reference = Reference(checkpoint, examples)
        steps.update()
        steps.set_postfix_str("graph and fusion")
        exported = export_graph(checkpoint)
        plain = for_tensorrt(exported) if config.tensorrt else None  # fusion works in place
        fused = fuse(exported, checkpoint.shape)
        cpu = for_cpu(fused, checkpoint.shape)
        made_from = Source(config, checkpoint, reference, fused, cpu, calibration)
        steps.update()
        graphs: list[Gated] = []
        for precision in config.precisions:
            steps.set_postfix_str(f"{precision}: convert, compare, gate")
            graphs.append(choose_graph(made_from, precision, graphs))
            steps.update()
        extras: dict[str, bytes] = {}
        if plain is not None:
            steps.set_postfix_str("TensorRT: convert, compare, gate")
            extras = write_tensorrt(made_from, plain)
        steps.set_postfix_str("latency")
        report = Report(graphs, measure_latency(made_from, graphs))
        html, figures = REPORTS
        extras |= {html: as_html(report).encode(), figures: as_json(report).encode()}
        steps.update()
    return graphs, extras


def check_lines(config: ExportConfig) -> None:
    """Refuse lines that cannot be read, before they are.

    Raises:
        DataError: If there are no dev lines.
        CheckpointError: If a file of lines in the checkpoint is a link, or too large.
    """
    path = dev_file(config)
    if not path.is_file():
        raise DataError(f"{path}: expected labelled lines for the gate; name some with --data")
    names = [DEV] if config.data is None else []
    if (config.model / CALIBRATION).is_file():
        names.append(CALIBRATION)
    for name in names:
        Pretrained(config.model).check(name, max_bytes=MAX_LINES_BYTES)


def read_dev(config: ExportConfig, checkpoint: Checkpoint) -> list[Example]:
    """Return the dev lines the gate scores.

    Raises:
        DataError: If there are none, or one has a label the checkpoint has not.
    """
    path = dev_file(config)
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
