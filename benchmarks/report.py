"""Print a result of python -m benchmarks.latency as a Markdown table.

    python -m benchmarks.report benchmarks/results/latency.json

p50 and lines/s are medians over the rounds; p90 and p99 are over all lines of all rounds. A
speed-up is that of the column before it against the first row.

exit status: 0 shown, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import Measured, Result
from serve.commands import command_parser, exit_status

_HEAD = "| | runs on | p50 ms | speed-up | p90 ms | p99 ms | lines/s | speed-up | same answers |"


@dataclass(frozen=True)
class ReportConfig:
    """What to report.

    Attributes:
        result: The result's file.
    """

    result: Path


def parse_args(argv: Sequence[str] | None = None) -> ReportConfig:
    """Return what a command line asks for."""
    parser = command_parser("benchmarks.report", __doc__)
    parser.add_argument("result", type=Path, metavar="RESULT.json", help="what latency wrote")
    return ReportConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: ReportConfig) -> int:
    print(table(Result.read(config.result)))
    return 0


def table(result: Result) -> str:
    """Return a result as Markdown: one row a system, and where it was measured."""
    rows = [_row(result, system) for system in result.systems]
    return "\n".join([_HEAD, "|---|---|" + "--:|" * 7, *rows, "", caption(result)])


def caption(result: Result) -> str:
    """Return one sentence that says where and on what a result was measured."""
    batch = result.systems[0].facts.offline_batch_size
    return (
        f"{result.workload.summary}, {result.num_rounds} rounds, {result.machine.hardware}; the "
        f"pipeline's offline batch size, its best here, is {batch}. {result.machine.software}."
    )


def _row(result: Result, system: Measured) -> str:
    facts, figures = system.facts, result.figures(system)
    cells = [
        facts.name,
        f"{facts.precision}, {facts.provider}",
        f"{figures['p50_ms']:.2f}",
        f"{figures['p50_ratio']:.1f}x",
        f"{figures['p90_ms']:.2f}",
        f"{figures['p99_ms']:.2f}",
        f"{figures['lines_per_s']:,.0f}",
        f"{figures['lines_per_s_ratio']:.1f}x",
        f"{system.num_equal_lines / result.workload.num_lines:.1%}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
