"""Measure text in, entities out, side by side: transformers, optimum, ONNX Runtime, and linetag.

Six systems tag the same real lines in one run, in interleaved rounds: transformers'
token-classification pipeline in FP32, optimum's on its own FP32 export, ONNX Runtime on PyTorch's
unfused export, the bundle's FP32 graph, its INT8 graph (FP16 on a GPU), and a Triton of our own
over gRPC, started for the run. Optimum has an environment of its own, which make bench sets up.

What the figures mean: what one caller waits for a line in single-stream (p50, p90, p99), and lines
per second when all lines are given at once (offline), tokenising and decoding included, on this
machine, with lines of this length. All systems live in one process, but for Triton's server and
optimum, which are halted while the others are measured; optimum reads the clock where it runs.
"Same answers" is the share of lines on which a system's spans and labels equal the pipeline's: a
fast wrong answer is no answer.
What they do not mean: nothing about several callers at once, other line lengths, networks, or
start-up. The pipelines take the lines as they come, at the best of four batch sizes; sorting them
by length would be their user's work. A busy machine flatters us, because PyTorch's threads wait for
one another: look at the load in the table's caption. Ratios travel between machines better than
milliseconds.

Examples:
  python -m benchmarks.latency
  python -m benchmarks.latency --seconds 10 --output build/latency.json
  python -m benchmarks.latency --data lines.jsonl --json

Writes the raw samples to the output and a plot beside it (.png). The last line of standard output
is one JSON document with everything but the samples.

exit status: 0 measured, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import add_shared
from benchmarks.delivery import delivering
from benchmarks.drawing import needing_matplotlib
from benchmarks.halting import awake
from benchmarks.machine import describe_machine
from benchmarks.report import table
from benchmarks.result import Measured, Result
from benchmarks.systems import System, open_systems
from benchmarks.timing import measure
from benchmarks.workload import describe_lines, lines_of, read_lines
from serve.bundle import Bundle
from serve.commands import command_parser, exit_status, say
from serve.entities import Entity
from serve.signals import interrupting


@dataclass(frozen=True)
class LatencyConfig:
    """Settings of a run.

    Attributes:
        checkpoint: What the pipeline and the unfused graph run.
        bundle: What the others run; exported from the checkpoint.
        data: JSON lines; None for the checkpoint's test lines, or dev lines where it has none.
        output: Where the raw samples go; the plot goes beside it.
        seconds: Least time to measure for, after set-up.
        optimum: Measure optimum too.
        json: Print nothing but the JSON document.
    """

    checkpoint: Path = Path("build/checkpoint")
    bundle: Path = Path("build/bundle")
    data: Path | None = None
    output: Path = Path("benchmarks/results/latency.json")
    seconds: float = 60.0
    optimum: bool = True
    json: bool = False


def parse_args(argv: Sequence[str] | None = None) -> LatencyConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.latency", __doc__)
    default = LatencyConfig()
    add_shared(parser, default, "checkpoint", "bundle", "data", "output", "seconds", "json")
    parser.add_argument("--no-optimum", dest="optimum", action="store_false", help="leave it out")
    return LatencyConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit status."""
    config = parse_args(argv)
    with interrupting():  # or a Triton is left
        return exit_status(lambda: _main(config))


def _main(config: LatencyConfig) -> int:
    with needing_matplotlib():  # before the measuring, not after
        from benchmarks.plot import plot
    result, picture = run(config), config.output.with_suffix(".png")
    with delivering(None if config.json else table(result), result.summary()):
        result.write(config.output)
        plot(result, picture)
        say(f"raw samples in {config.output}, plot in {picture}")
    return 0


def run(config: LatencyConfig) -> Result:
    """Measure the systems.

    Raises:
        TaggingError: If the lines, the checkpoint, the bundle or Triton are not as expected.
    """
    machine = describe_machine()
    data = config.data or lines_of(config.checkpoint)
    lines = read_lines(data)
    workload = describe_lines(data, lines, Bundle.load(config.bundle).encoder())
    _say("loading the systems, finding the pipelines' best batch sizes")
    with open_systems(config.checkpoint, config.bundle, lines, optimum=config.optimum) as systems:
        measured = measure_systems(systems, lines, seconds=config.seconds)
    return Result(machine=machine, workload=workload, systems=measured)


def measure_systems(
    systems: Sequence[System], lines: Sequence[str], *, seconds: float
) -> tuple[Measured, ...]:
    """Compare the systems' answers on all lines, which warms them up, then measure them."""
    _say("comparing their answers")
    answers = [_answers(system, lines) for system in systems]
    samples = measure(systems, lines, seconds=seconds)
    return tuple(
        Measured(
            facts=system.facts,
            num_equal_lines=sum(map(operator.eq, answer, answers[0])),
            samples=sample,
        )
        for system, sample, answer in zip(systems, samples, answers, strict=True)
    )


def _say(message: str) -> None:
    """Tell who watches what is going on."""
    if sys.stderr.isatty():
        print(message, file=sys.stderr)


def _answers(system: System, lines: Sequence[str]) -> list[list[tuple[int, int, str]]]:
    with awake(system):
        return [_spans(line) for line in system.tag(lines)]


def _spans(entities: Sequence[Entity]) -> list[tuple[int, int, str]]:
    return [(entity.start, entity.end, entity.label) for entity in entities]


if __name__ == "__main__":
    raise SystemExit(main())
