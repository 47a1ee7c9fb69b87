"""Owns the result of a grid: raw samples, the figures drawn from them, and its JSON file.

Keys carry units. Figures are always computed from the samples; the file repeats them for readers
without this code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchmarks.delivery import write_json
from benchmarks.grid.engines import INT8, PYTORCH
from benchmarks.grid.growth import Growth, growth_of
from benchmarks.grid.operators import OperatorTime
from benchmarks.grid.peak import macs_of_call
from benchmarks.machine import Machine
from benchmarks.timing import LatencyStats

FORMAT = 1


class Scenario(StrEnum):
    """What a row's samples are the times of."""

    BATCH = "batch"  # one batch, tokens in, logits out
    OFFLINE = "offline"  # several batches at once through lanes
    TEXT = "text"  # one text, through the tagger; its length is in words
    PRODUCTS = "products"  # a line's integer products with weights and nothing else
    PEAK = "peak"  # integer products and nothing else; its length is their rows


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was timed.

    Attributes:
        scenario: What a sample is the time of.
        system: What ran.
        length: Tokens of a line, words of a text, or rows of a product.
        count: Lines of a call; for the peak, products side by side.
        samples_s: Seconds of each call, round by round.
    """

    scenario: Scenario
    system: str
    length: int
    count: int
    samples_s: tuple[tuple[float, ...], ...]

    @property
    def p50_s(self) -> float:
        """Median over the rounds of each round's median."""
        return LatencyStats(self.samples_s).p50_s


@dataclass(frozen=True, slots=True, kw_only=True)
class GridResult:
    """A whole run.

    Attributes:
        machine: Where.
        model: Name of the model.
        macs_per_token: Multiply-adds of its integer products for one token.
        systems: Precision and provider of each system by name, read back.
        max_abs_diff: Largest difference of a system's logits from PyTorch's, on one random batch.
        rows: What was timed.
        operators: Where a line's time goes inside the INT8 graph.
    """

    machine: Machine
    model: str
    macs_per_token: int
    systems: dict[str, str]
    max_abs_diff: dict[str, float]
    rows: tuple[Row, ...]
    operators: tuple[OperatorTime, ...]

    def of(self, scenario: Scenario, *, system: str | None = None) -> list[Row]:
        """Return the rows of a scenario, or those of one system of it."""
        rows = [row for row in self.rows if row.scenario is scenario]
        return [row for row in rows if system in (None, row.system)]

    def ratio(self, row: Row) -> float:
        """Return how many times as long PyTorch takes for a batch as this row's system does."""
        return self._pytorch_s(row.length, row.count) / row.p50_s

    def products_s(self, length: int) -> float:
        """Return the seconds that the products of a line with weights take, on the best threads."""
        return min(row.p50_s for row in self.of(Scenario.PRODUCTS) if row.length == length)

    def most(self, length: int) -> float:
        """Return how many times as long PyTorch takes for a line as its INT8 products alone."""
        return self._pytorch_s(length, 1) / self.products_s(length)

    def _pytorch_s(self, length: int, count: int) -> float:
        (row,) = (
            row
            for row in self.of(Scenario.BATCH, system=PYTORCH)
            if (row.length, row.count) == (length, count)
        )
        return row.p50_s

    @property
    def num_lanes(self) -> int:
        """Cores that the peak was measured on: as many as lines take offline."""
        return self.of(Scenario.PEAK)[0].count

    @property
    def peak_macs_per_s(self) -> float:
        """Integer multiply-adds a second of the fastest products."""
        return max(macs_of_call(r.count) / r.p50_s for r in self.of(Scenario.PEAK))

    def offline_macs_per_s(self, row: Row) -> float:
        """Return the integer multiply-adds a second of an offline row."""
        return self.macs_per_token * row.length * row.count / row.p50_s

    def growth(self) -> dict[str, Growth]:
        """Return how a line's time grows in each scenario, by its name; offline, a line's share."""
        alone = {
            f"{name}, batch 1, tokens": [
                row for row in self.of(Scenario.BATCH, system=name) if row.count == 1
            ]
            for name in self.systems
        }
        groups = alone | {
            f"{INT8}, offline, tokens": self.of(Scenario.OFFLINE),
            f"{INT8}, one text, words": self.of(Scenario.TEXT),
        }
        return {name: _growth(rows) for name, rows in groups.items() if len(rows) > 1}

    def summary(self) -> dict[str, Any]:
        """Return everything but the raw samples as JSON values."""
        peak = self.peak_macs_per_s
        return {
            "format": FORMAT,
            "machine": asdict(self.machine),
            "model": self.model,
            "macs_per_token": self.macs_per_token,
            "systems": self.systems,
            "max_abs_diff": self.max_abs_diff,
            "peak_gmacs_per_s": peak / 1e9,
            "growth": {
                name: {**asdict(growth), "is_linear": growth.is_linear}
                for name, growth in self.growth().items()
            },
            "operators": [asdict(time) for time in self.operators],
            "rows": [self._figures(row, peak) for row in self.rows],
        }

    def _figures(self, row: Row, peak: float) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "scenario": row.scenario,
            "system": row.system,
            "length": row.length,
            "count": row.count,
            "p50_ms": 1e3 * row.p50_s,
        }
        if row.scenario is Scenario.BATCH:
            figures["ratio"] = self.ratio(row)
        if row.scenario is Scenario.OFFLINE:
            figures["share_of_peak"] = self.offline_macs_per_s(row) / peak
        return figures

    def write(self, path: Path) -> None:
        """Write the result with its raw samples, whole or not at all."""
        body = self.summary()
        for written, row in zip(body["rows"], self.rows, strict=True):
            written["samples_s"] = row.samples_s
        write_json(path, body)


def _growth(rows: Sequence[Row]) -> Growth:
    return growth_of([row.length for row in rows], [row.p50_s / row.count for row in rows])
