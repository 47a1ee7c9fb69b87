"""Owns the result of a memory run: JSON with raw samples, and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.delivery import write_json
from benchmarks.machine import Machine
from benchmarks.memory.children import FirstAnswer
from benchmarks.memory.curve import Curve

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryResult:
    """A whole run.

    Attributes:
        machine: Where.
        curves: Memory of each system.
        first_answers: Of each graph, each in a fresh process.
    """

    machine: Machine
    curves: tuple[Curve, ...]
    first_answers: dict[str, tuple[FirstAnswer, ...]]

    def summary(self) -> dict[str, Any]:
        """Return everything but the raw samples as JSON values."""
        return {
            "format": FORMAT,
            "machine": asdict(self.machine),
            "curves": [_figures(curve) for curve in self.curves],
            "first_answer_s": {name: _medians(all_) for name, all_ in self.first_answers.items()},
        }

    def write(self, path: Path) -> None:
        """Write the result with its raw samples, whole or not at all."""
        body = self.summary()
        for written, curve in zip(body["curves"], self.curves, strict=True):
            written.update(asdict(curve))
        body["first_answer_samples"] = {
            name: [asdict(first) for first in all_] for name, all_ in self.first_answers.items()
        }
        write_json(path, body)


def tables(result: MemoryResult) -> str:
    """Return curves and first answers as Markdown."""
    return "\n".join([*_curve_rows(result), "", *_first_rows(result)])


def _curve_rows(result: MemoryResult) -> Iterator[str]:
    yield "| memory, MB | loaded | after a tenth | at the end | growth, MB per 1,000 lines | flat |"
    yield "|---|--:|--:|--:|--:|---|"
    for curve in result.curves:
        loaded, tenth, end = (
            curve.at(n) / 1e6 for n in (0, curve.lines[-1] // 10, curve.lines[-1])
        )
        yield (
            f"| {curve.name} | {loaded:.0f} | {tenth:.0f} | {end:.0f} | {curve.growth_mb:+.2f} "
            f"| {'yes' if curve.is_flat else 'no'} |"
        )


def _first_rows(result: MemoryResult) -> Iterator[str]:
    yield "| fresh process, s | import | load | first line | load to first answer |"
    yield "|---|--:|--:|--:|--:|"
    for name, all_ in result.first_answers.items():
        cells = [f"{seconds:.3f}" for seconds in _medians(all_).values()]
        yield f"| {name} | {' | '.join(cells)} |"


def _figures(curve: Curve) -> dict[str, Any]:
    return {
        "name": curve.name,
        "num_lines": curve.lines[-1],
        "growth_mb_per_1000_lines": curve.growth_mb,
        "is_flat": curve.is_flat,
    }


def _medians(all_: tuple[FirstAnswer, ...]) -> dict[str, float]:
    names = ("import_s", "load_s", "answer_s", "from_load_s")
    return {name: median(getattr(first, name) for first in all_) for name in names}
