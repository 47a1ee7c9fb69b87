"""Owns the result of a run: its JSON file with the raw samples, and the figures drawn from them.

Keys carry units. The figures are always computed from the samples; the file repeats them for
readers without this code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.delivery import short, write_json
from benchmarks.facts import Facts
from benchmarks.machine import Machine
from benchmarks.timing import LatencyStats, Samples
from benchmarks.workload import Workload
from serve.errors import DataError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One system and what was measured of it.

    Attributes:
        facts: What it is.
        num_equal_lines: Lines on which its spans and labels equal the first system's.
        samples: The raw samples.
    """

    facts: Facts
    num_equal_lines: int
    samples: Samples

    @property
    def latency(self) -> LatencyStats:
        """Single-stream latencies."""
        return LatencyStats(self.samples.latency_s)

    def lines_per_s(self, num_lines: int) -> float:
        """Return the median over the rounds of offline lines per second."""
        return num_lines / median(self.samples.offline_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A whole run.

    Attributes:
        machine: Where.
        workload: On what.
        systems: What was measured, the one all others are compared with first.
    """

    machine: Machine
    workload: Workload
    systems: tuple[Measured, ...]

    @property
    def num_rounds(self) -> int:
        """Rounds of each scenario."""
        return len(self.systems[0].samples.offline_s)

    def figures(self, system: Measured) -> dict[str, float]:
        """Return a system's figures and their ratios to the first system's; above 1 is better."""
        first, num_lines = self.systems[0], self.workload.num_lines
        latency, lines_per_s = system.latency, system.lines_per_s(num_lines)
        return {
            "p50_ms": 1e3 * latency.p50_s,
            "p90_ms": 1e3 * latency.p90_s,
            "p99_ms": 1e3 * latency.p99_s,
            "lines_per_s": lines_per_s,
            "p50_ratio": first.latency.p50_s / latency.p50_s,
            "p99_ratio": first.latency.p99_s / latency.p99_s,
            "lines_per_s_ratio": lines_per_s / first.lines_per_s(num_lines),
        }

    def summary(self) -> dict[str, Any]:
        """Return everything but the raw samples as JSON values."""
        return {
            "format": FORMAT,
            "machine": asdict(self.machine),
            "workload": asdict(self.workload),
            "num_rounds": self.num_rounds,
            "systems": [
                {
                    **asdict(system.facts),
                    "num_equal_lines": system.num_equal_lines,
                    **{key: short(value) for key, value in self.figures(system).items()},
                }
                for system in self.systems
            ],
        }

    def write(self, path: Path) -> None:
        """Write the result with its raw samples, whole or not at all."""
        body = self.summary()
        for row, system in zip(body["systems"], self.systems, strict=True):
            row.update(asdict(system.samples))
        write_json(path, body)

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read a result.

        Raises:
            DataError: If the file is none of this format.
        """
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']}")
            return cls(
                machine=Machine(**body["machine"]),
                workload=Workload.from_json(body["workload"]),
                systems=tuple(_measured(row) for row in body["systems"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: expected a result of python -m benchmarks.latency of format {FORMAT}, "
                f"got {error!r}; name one, or measure again with it"
            ) from error


def _measured(row: Mapping[str, Any]) -> Measured:
    keys = ("name", "what", "precision", "provider", "offline_batch_size")
    return Measured(
        facts=Facts(**{key: row[key] for key in keys}),
        num_equal_lines=row["num_equal_lines"],
        samples=Samples(tuple(map(tuple, row["latency_s"])), tuple(row["offline_s"])),
    )
