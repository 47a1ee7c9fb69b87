"""Owns the report: what an export found out, as JSON and in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from export.judge import Gated
from export.reports.latency import Latencies
from serve.bundle import Precision

FASTER = 0.95  # a graph counts as faster from 5 % on: medians of few rounds tell no less apart

LITTLE_POINTS = 20.0
"""Entity F1 below which a tagger finds so little that no loss of it could be told."""
BUSY = 1.25  # load a core: an export by itself comes to about 1


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What an export found out.

    Attributes:
        graphs: The graphs, FP32 first.
        latencies: What each takes.
    """

    graphs: Sequence[Gated]
    latencies: Latencies


def as_json(report: Report) -> str:
    """Return all of the report's figures as JSON text."""
    body: dict[str, Any] = {
        "findings": list(findings(report)),
        "graphs": [_graph_json(graph) for graph in report.graphs],
        "latency": asdict(report.latencies),
    }
    return json.dumps(body, indent=2) + "\n"


def _graph_json(graph: Gated) -> dict[str, Any]:
    return {
        **asdict(graph.file.info),
        "f1_by_label": {
            label: {**asdict(change), "loss_points": change.loss_points}
            for label, change in graph.parity.f1.by_label.items()
        },
        "max_abs_diff_by_length": graph.parity.diff_by_length,
        "num_tokens_compared": graph.parity.num_tokens,
        "trials": [asdict(trial) for trial in graph.trials],
        "fp32_node_reasons": graph.reasons,
    }


def findings(report: Report) -> Iterator[str]:
    """Yield what a reader should know, a sentence each."""
    before = 100 * report.graphs[0].file.info.f1_before
    if before < LITTLE_POINTS:
        yield (
            f"PyTorch's own entity F1 is {before:.2f} on the dev lines: who has little can lose "
            "little, so passing says little; train on more lines, or name better ones with --data"
        )
    if not any("Gelu" in name for name in report.graphs[0].file.info.operators):
        yield "no GELU was fused: the model's activation is another, left in standard operators"
    for graph in report.graphs:
        yield _loss(graph)
        if len(graph.trials) > 1:
            yield f"{graph.file.info.file} is one of {len(graph.trials)} tried: {graph.method}"
        if graph.reasons:
            yield f"{graph.file.info.file} keeps {len(graph.reasons)} nodes in FP32"
    yield from (f"{name} was {why}" for name, why in report.latencies.left_out.items())
    timed = report.latencies
    if timed.load > BUSY * timed.num_cores:
        yield (
            f"the machine was busy, load {timed.load:.1f} on {timed.num_cores} cores: "
            "do not rely on the latencies"
        )
    yield from _speed(report)


def _loss(graph: Gated) -> str:
    """Say what a graph loses overall, and on the label it loses most on."""
    info = graph.file.info
    points = 100 * (info.f1_before - info.f1_after)
    low, high = info.f1_loss_interval_points
    verb = "gains" if points < 0 else "loses"
    overall = f"{info.file} {verb} {abs(points):.2f} points of entity F1"
    if low == high == 0:
        return f"{overall}, in every bootstrap sample of the dev lines"
    between = f"{overall} (95 % of bootstrap samples: a loss of {low:z.2f} to {high:z.2f})"
    losses = info.label_f1_loss_points
    worst = max(losses, key=losses.__getitem__, default="")
    if not worst or losses[worst] <= 0:
        return between
    return f"{between}; loses most on {worst}, {losses[worst]:.2f}"


def _speed(report: Report) -> Iterator[str]:
    """Say how INT8 compares with FP32, where both were measured."""
    files = {graph.file.info.precision: graph.file.info.file for graph in report.graphs}
    if Precision.INT8 not in files:
        return
    int8, fp32 = files[Precision.INT8], files[Precision.FP32]
    measured = [cell for cell in report.latencies.cells if cell.rounds]
    slower = [c for c in measured if c.median_ms[int8] > FASTER * c.median_ms[fp32]]
    if measured and len(slower) == len(measured):
        yield "INT8 is not faster than FP32 on this machine"
    elif slower:
        where = ", ".join(f"{cell.batch_size} x {cell.num_tokens}" for cell in slower)
        yield f"INT8 is not faster than FP32 on this machine at {where} tokens"
