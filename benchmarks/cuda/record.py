"""Owns the record of a run: its JSON file with the raw samples, and the figures drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.cuda.engine import EngineFacts
from benchmarks.cuda.parity import Parity
from benchmarks.delivery import write_json
from benchmarks.machine import Machine

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRecord:
    """One variant of one model, opened or not.

    Attributes:
        model: Whose weights.
        variant: How it runs.
        facts: What was opened; None if it could not be.
        parity: How near it is to PyTorch in FP32; None if it was not compared.
        f1: Entity F1 on the dev lines, where there are any, in [0, 1].
        f1_before: PyTorch's, likewise.
        reason: Why it was not measured; None if it was.
        failed: Whether that reason is a fault, and not a lack of time or of a GPU.
    """

    model: str
    variant: str
    facts: EngineFacts | None = None
    parity: Parity | None = None
    f1: float | None = None
    f1_before: float | None = None
    reason: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One task of one variant of one model.

    Attributes:
        model: Whose weights.
        variant: How it runs.
        task: What it does.
        provider: What ran it, read back; None if nothing did.
        num_lines: Lines that one sample took.
        shows_lines: Whether the table shows lines per second.
        samples_s: Seconds of each step; empty if it was not measured.
        reason: Why it was not measured; None if it was.
        failed: See `SystemRecord.failed`.
    """

    model: str
    variant: str
    task: str
    provider: str | None
    num_lines: int
    shows_lines: bool
    samples_s: tuple[float, ...] = ()
    reason: str | None = None
    failed: bool = False

    def figures(self) -> dict[str, float]:
        """Return p50, p90 and p99 of a step, and lines per second at its median."""
        if not self.samples_s:
            return {}
        p90, p99 = np.percentile(self.samples_s, (90, 99))
        p50 = median(self.samples_s)
        figures = {"p50_ms": 1e3 * p50, "p90_ms": 1e3 * p90, "p99_ms": 1e3 * p99}
        figures["lines_per_s"] = self.num_lines / p50
        return {name: float(f"{value:.5g}") for name, value in figures.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole run.

    Attributes:
        machine: Where.
        device: The GPU's facts; see `benchmarks.cuda.device`.
        rehearsal: Whether the figures mean nothing.
        seed: Of weights, lengths and tokens.
        budget_s: Seconds it was given.
        spent_s: Seconds it took.
        systems: What was opened.
        cells: What was measured.
    """

    machine: Machine
    device: Mapping[str, str]
    rehearsal: bool
    seed: int
    budget_s: float
    spent_s: float
    systems: tuple[SystemRecord, ...]
    cells: tuple[Cell, ...]

    @property
    def faults(self) -> list[str]:
        """What went wrong, one line each; a lack of time or of a GPU is nothing wrong."""
        rows: tuple[SystemRecord | Cell, ...] = (*self.systems, *self.cells)
        return list(dict.fromkeys(f"{r.model}, {r.variant}: {r.reason}" for r in rows if r.failed))

    def summary(self) -> dict[str, Any]:
        """Return everything but the raw samples as JSON values."""
        body = {"format": FORMAT, **asdict(self)}
        for row, cell in zip(body["cells"], self.cells, strict=True):
            del row["samples_s"]
            row.update(cell.figures())
        return body

    def write(self, path: Path) -> None:
        """Write the record with its raw samples, whole or not at all."""
        body = self.summary()
        for row, cell in zip(body["cells"], self.cells, strict=True):
            row["samples_s"] = cell.samples_s
        write_json(path, body, allow_nan=False)
