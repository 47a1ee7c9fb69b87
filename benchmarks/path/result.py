"""Owns the result of following lines: its table and its JSON file with the raw samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.delivery import write_json
from benchmarks.machine import Machine
from benchmarks.path.timeline import STEPS, Way
from benchmarks.workload import Workload

FORMAT = 1
PERCENTS = (50, 90, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathResult:
    """A whole run.

    Attributes:
        machine: Where.
        workload: On what.
        ways: Nanoseconds of each step of each call that was followed. Shape: (calls, steps)
        plain_s: Seconds of each call to a server that notes nothing.
    """

    machine: Machine
    workload: Workload
    ways: tuple[Way, ...]
    plain_s: tuple[float, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures of each step, of all together, and of the calls without notes."""
        total_ns = [sum(way) for way in self.ways]
        steps = zip(STEPS, self._steps(), strict=True)
        rows = [_row(name, list(step), total_ns) for name, step in steps]
        rows.append(_row("all steps", total_ns, total_ns))
        plain_ns = [round(1e9 * seconds) for seconds in self.plain_s]
        return [*rows, {**_row("without notes", plain_ns, total_ns), "share": None}]

    def _steps(self) -> Iterator[tuple[int, ...]]:
        return zip(*self.ways, strict=True)

    def summary(self) -> dict[str, Any]:
        """Return everything but the raw samples as JSON values."""
        return {
            "format": FORMAT,
            "machine": asdict(self.machine),
            "workload": asdict(self.workload),
            "num_calls": len(self.ways),
            "steps": self.rows(),
        }

    def write(self, path: Path) -> None:
        """Write the result with its raw samples, whole or not at all."""
        raw = dict(zip(STEPS, map(list, self._steps()), strict=True))
        body = {**self.summary(), "samples_ns": raw, "plain_s": self.plain_s}
        write_json(path, body, separators=(",", ":"))


def table(result: PathResult) -> str:
    """Return the steps as Markdown, and where they were measured."""
    rows = ["| step | p50 us | p90 us | p99 us | share |", "|---|--:|--:|--:|--:|"]
    for row in result.rows():
        figures = " | ".join(f"{row[f'p{percent}_us']:,.0f}" for percent in PERCENTS)
        share = "" if row["share"] is None else f"{row['share']:.0%}"
        rows.append(f"| {row['step']} | {figures} | {share} |")
    caption = (
        f"{len(result.ways)} calls; {result.workload.summary}, client and server on the same "
        f"{result.machine.hardware}. {result.machine.software}."
    )
    return "\n".join([*rows, "", caption])


def _row(name: str, samples_ns: list[int], total_ns: list[int]) -> dict[str, Any]:
    figures = {
        f"p{percent}_us": round(float(np.percentile(samples_ns, percent)) / 1e3, 1)
        for percent in PERCENTS
    }
    return {"step": name, **figures, "share": round(sum(samples_ns) / sum(total_ns), 4)}
