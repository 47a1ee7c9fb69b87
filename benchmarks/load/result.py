"""Owns the result of a load test: its JSON file with the raw samples, and the figures in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.delivery import short, write_json
from benchmarks.facts import Facts
from benchmarks.load.calls import Call, Closed, Measured
from benchmarks.load.checks import Check
from benchmarks.machine import Machine
from benchmarks.workload import Workload

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """A whole run.

    Attributes:
        machine: Where.
        workload: On what.
        systems: What was measured, the one that others are compared with last.
        measured: What each did under each load.
        checks: What others' load generators say of our server.
    """

    machine: Machine
    workload: Workload
    systems: tuple[Facts, ...]
    measured: tuple[Measured, ...]
    checks: tuple[Check, ...]

    @property
    def offline_lines_per_s(self) -> float:
        """What the embedded runtime does, given all lines at once."""
        offline = Closed(1, self.workload.num_lines)
        return next(each.lines_per_s for each in self.measured if each.load == offline)

    def p50_ratio(self, measured: Measured) -> float | None:
        """Return how much longer the last system takes under the same load; None if it had it not.

        Above 1 is better than the last system.
        """
        last = self.systems[-1].name
        same = (m for m in self.measured if (m.system, m.load) == (last, measured.load))
        other = next(same, None)
        return None if other is None else other.latency.p50_s / measured.latency.p50_s

    def figures(self, measured: Measured) -> dict[str, Any]:
        """Return the figures of a system under a load."""
        latency = measured.latency
        ratio = self.p50_ratio(measured)
        return {
            "lines_per_s": short(measured.lines_per_s),
            "offline_share": short(measured.lines_per_s / self.offline_lines_per_s),
            "p50_ms": short(1e3 * latency.p50_s),
            "p90_ms": short(1e3 * latency.p90_s),
            "p99_ms": short(1e3 * latency.p99_s),
            "p50_ratio": None if ratio is None else short(ratio),
            "num_calls": measured.num_calls,
            "failures": dict(measured.failures),
        }

    def summary(self) -> dict[str, Any]:
        """Return everything but the raw samples as JSON values."""
        return {
            "format": FORMAT,
            "machine": asdict(self.machine),
            "workload": asdict(self.workload),
            "systems": [asdict(facts) for facts in self.systems],
            "measured": [
                {
                    "system": each.system,
                    "load": asdict(each.load),
                    "seconds": each.seconds,
                    **self.figures(each),
                }
                for each in self.measured
            ],
            "checks": [asdict(check) for check in self.checks],
        }

    def write(self, path: Path) -> None:
        """Write the result with its raw samples, in microseconds, whole or not at all."""
        body = self.summary()
        for row, each in zip(body["measured"], self.measured, strict=True):
            row["rounds"] = [_columns(calls) for calls in each.rounds]
        write_json(path, body, separators=(",", ":"))


def _columns(calls: tuple[Call, ...]) -> dict[str, Any]:
    failed = {str(number): call.failure for number, call in enumerate(calls) if call.failure}
    return {
        "due_us": [round(1e6 * call.due_s) for call in calls],
        "latency_us": [round(1e6 * call.latency_s) for call in calls],
        "failures": failed,
    }
