"""Owns the table of a run: a row a task, a column a variant, and why a cell is empty."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.cuda.record import Cell, Record, SystemRecord


def table(record: Record) -> str:
    """Return a record as Markdown.

    A cell that was not measured holds `n/m` and the number of the note that says why.
    """
    variants = list(dict.fromkeys(system.variant for system in record.systems))
    notes = _Notes()
    rows = [
        row
        for model in dict.fromkeys(system.model for system in record.systems)
        for row in _model_rows(record, model, variants, notes)
    ]
    head = [_line(["", *variants]), "|---|" + "--:|" * len(variants)]
    return "\n".join([*head, *rows, "", *notes.lines(), caption(record)])


def caption(record: Record) -> str:
    """Return one paragraph that says where a record was made and what its figures are."""
    machine = record.machine
    device = ", ".join(f"{name} {value}" for name, value in record.device.items())
    gpu = machine.gpu or "no GPU"
    rehearsal = "A rehearsal: no figure means anything. " if record.rehearsal else ""
    return (
        f"{rehearsal}Medians; random weights from seed {record.seed} but where a checkpoint is "
        f"named; 'B x T tokens' is the forward pass alone, inputs on the device. {gpu}"
        f"{f' ({device})' if device else ''}, {machine.cores}; "
        f"{record.spent_s:.0f} s of {record.budget_s:.0f}. {machine.software}."
    )


class _Notes:
    """Reasons, numbered in the order they come up."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """Return what stands in a cell that has no figure."""
        return f"n/m {self._numbers.setdefault(reason, len(self._numbers) + 1)}"

    def lines(self) -> list[str]:
        """Return the notes, and an empty line where there are any."""
        notes = [f"n/m {number}: not measured: {r}" for r, number in self._numbers.items()]
        return [*notes, ""] if notes else []


def _model_rows(record: Record, model: str, variants: list[str], notes: _Notes) -> Iterable[str]:
    systems = {system.variant: system for system in record.systems if system.model == model}
    cells = {(c.task, c.variant): c for c in record.cells if c.model == model}
    yield _line([f"**{model}** runs on", *(_place(systems.get(v), notes) for v in variants)])
    yield _line(["logits off PyTorch FP32 by", *(_parity(systems.get(v)) for v in variants)])
    if any(system.f1 is not None for system in systems.values()):
        yield _line(["entity F1 (PyTorch FP32)", *(_f1(systems.get(v)) for v in variants)])
    for task in dict.fromkeys(task for task, _ in cells):
        yield _line([task, *(_figure(cells.get((task, v)), notes) for v in variants)])


def _place(system: SystemRecord | None, notes: _Notes) -> str:
    if system is None:
        return ""
    if system.facts is None:
        return notes.mark(system.reason or "not opened")
    nodes = sum(system.facts.nodes.values())
    return system.facts.provider + (f", {nodes} nodes" if nodes else "")


def _parity(system: SystemRecord | None) -> str:
    if system is None or system.parity is None:
        return ""
    return f"{system.parity.max_abs_diff:.2g}, {system.parity.tag_agreement:.1%} of tags"


def _f1(system: SystemRecord | None) -> str:
    if system is None or system.f1 is None or system.f1_before is None:
        return ""
    return f"{100 * system.f1:.2f} ({100 * system.f1_before:.2f})"


def _figure(cell: Cell | None, notes: _Notes) -> str:
    if cell is None:
        return ""
    if cell.reason is not None:
        return notes.mark(cell.reason)
    figures = cell.figures()
    if cell.shows_lines:
        return f"{figures['lines_per_s']:,.0f}"
    return f"{figures['p50_ms']:.3f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
