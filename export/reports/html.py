"""Owns the report's page.

The pictures need matplotlib, of the extra `bench`; without it the page has its tables only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from export.gate import MIN_LABEL_ENTITIES
from export.judge import Gated
from export.reports.latency import Latencies
from export.reports.report import Report, findings
from serve.display.page import bullets, page, table


def as_html(report: Report) -> str:
    """Return the report as a page."""
    return page("Export report", _sections(report))


def _sections(report: Report) -> Iterator[str]:
    yield "<h1>Export report</h1>"
    yield bullets(findings(report))
    yield _pictures(report)
    yield "<h2>Graphs</h2>" + _graphs(report.graphs)
    yield "<h2>Latency</h2>" + _latency(report.latencies)
    yield "<h2>Largest difference of a logit from PyTorch's, by length</h2>"
    yield _parity(report.graphs)
    for graph in report.graphs:
        yield f"<h2>{escape(graph.file.info.file)}</h2>"
        operators = graph.file.info.operators.items()
        counts = ", ".join(f"{count} {name}" for name, count in operators) or "none"
        yield f"<p>ONNX Runtime's own operators: {escape(counts)}</p>"
        yield "<h3>F1 by label</h3>" + _labels(graph)
        yield (
            f"<p>Labels with {MIN_LABEL_ENTITIES} or more entities are gated on, where the 95 % "
            "interval of the loss is above 0.</p>"
        )
        yield "<h3>Graphs that were tried</h3>" + _trials(graph)
        if graph.reasons:
            yield "<h3>Left in FP32</h3>" + table(["node", "why"], list(graph.reasons.items()))


def _pictures(report: Report) -> str:
    try:
        from export.reports.plot import pictures
    except ModuleNotFoundError:
        return "<p>No pictures: matplotlib is not installed; pip install -e '.[bench]'</p>"
    return pictures(report)


def _graphs(graphs: Sequence[Gated]) -> str:
    head = ["graph", "meant for", "MB", "max diff", "same tags", "F1", "loss",
            "95 % interval", "allowed"]  # fmt: skip
    return table(head, [_graph_row(graph) for graph in graphs])


def _graph_row(graph: Gated) -> list[str]:
    info = graph.file.info
    low, high = info.f1_loss_interval_points
    return [
        info.file,
        str(info.provider),
        f"{info.size_bytes / 1e6:.1f}",
        f"{info.max_abs_diff:.2g}",
        f"{info.tag_agreement:.2%}",
        f"{100 * info.f1_after:.2f}",
        f"{100 * (info.f1_before - info.f1_after):z.2f}",
        f"{low:z.2f} to {high:z.2f}",
        f"{info.allowed_f1_loss_points:g}; {info.allowed_label_f1_loss_points:g} a label",
    ]


def _latency(latencies: Latencies) -> str:
    """Return milliseconds and speed-up over the first system, PyTorch."""
    names = next((list(cell.median_ms) for cell in latencies.cells if cell.rounds), [])
    rows = []
    for cell in latencies.cells:
        row = [f"{cell.batch_size} x {cell.num_tokens}"]
        for name in names:
            ms = cell.median_ms.get(name)
            base = cell.median_ms.get(names[0])
            row.append(f"{ms:.2f} ({base / ms:.1f}x)" if ms and base else "not measured")
        rows.append([*row, str(cell.rounds)])
    note = (
        f"<p>Milliseconds from tokens to logits, median of interleaved rounds, on "
        f"{latencies.threads} threads of this machine; in brackets the speed-up over PyTorch.</p>"
    )
    return note + table(["batch x tokens", *names, "rounds"], rows)


def _parity(graphs: Sequence[Gated]) -> str:
    lengths = list(graphs[0].parity.diff_by_length)
    rows = [
        [g.file.info.file, *(f"{g.parity.diff_by_length[length]:.2g}" for length in lengths)]
        for g in graphs
    ]
    return table(["graph", *(f"up to {length}" for length in lengths)], rows)


def _labels(graph: Gated) -> str:
    changes = {"all": graph.parity.f1.overall, **graph.parity.f1.by_label}
    rows = [
        [
            label, str(change.num_gold), f"{100 * change.before:.2f}", f"{100 * change.after:.2f}",
            f"{change.loss_points:.2f}",
            "{:.2f} to {:.2f}".format(*change.interval_points),
        ]
        if change.num_gold else [label, "none in gold", *["-"] * 4]
        for label, change in changes.items()
    ]  # fmt: skip
    return table(["label", "entities", "PyTorch", "graph", "loss", "95 % interval"], rows)


def _trials(graph: Gated) -> str:
    rows = [
        [t.method, f"{100 * t.f1:.2f}", ", ".join(t.fp32_nodes) or "none", t.refusal or "passed"]
        for t in graph.trials
    ]
    return table(["made by", "F1", "left in FP32", "gate"], rows)
