"""Print where each microsecond of a served line goes: client, gRPC, Triton, model, and back.

One caller sends one line at a time through a real Triton. Three processes note when their steps
begin and end by one clock: the client, Triton by its traces, and the model in Triton's Python
process. The steps of a call leave nothing out: they add up to what the caller waited.

A step's p50 is its own median; medians do not add up, means do, so shares are of means. Noting has
its cost: the row "without notes" is the same calls to a server that notes nothing, in turns with
the others.

Examples:
  python -m benchmarks.path
  python -m benchmarks.path --seconds 20 --output benchmarks/results/path.json

The last line of standard output is one JSON document; the output has the raw samples beside it.

exit status: 0 measured, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import add_shared
from benchmarks.delivery import delivering
from benchmarks.halting import halt, resume, running
from benchmarks.load.calls import Call, Closed, answered
from benchmarks.load.loops import Ask, run_load
from benchmarks.machine import describe_machine
from benchmarks.path.result import PathResult, table
from benchmarks.path.spans import Span, noting
from benchmarks.path.timeline import Way, ways
from benchmarks.path.traced_server import traced_server
from benchmarks.systems import open_served
from benchmarks.timing import frozen_set_up
from benchmarks.workload import describe_lines, lines_of, read_lines
from serve.bundle import Bundle
from serve.client import Policy, TritonTagger, wire
from serve.commands import command_parser, exit_status
from serve.errors import ServerError
from serve.signals import interrupting

POLICY = Policy(deadline_s=30.0)
NUM_ROUNDS = 10
WARM_S = 0.2


@dataclass(frozen=True)
class PathConfig:
    """Settings of a run.

    Attributes:
        bundle: What Triton serves.
        data: JSON lines; None for the test lines of build/checkpoint, or its dev lines.
        seconds: How long calls are made with notes, in all rounds, and how long without.
        output: Where the raw samples go; None to write none.
    """

    bundle: Path = Path("build/bundle")
    data: Path | None = None
    seconds: float = 10.0
    output: Path | None = None


def parse_args(argv: Sequence[str] | None = None) -> PathConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.path", __doc__)
    default = PathConfig()
    add_shared(parser, default, "bundle", "data", "seconds", "output")
    return PathConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; return the exit status."""
    config = parse_args(argv)
    with interrupting():  # or a Triton is left
        return exit_status(lambda: _main(config))


def _main(config: PathConfig) -> int:
    result = run(config)
    with delivering(table(result), result.summary()):
        if config.output:
            result.write(config.output)
    return 0


def run(config: PathConfig) -> PathResult:
    """Follow lines through a Triton, and time the same without notes.

    Raises:
        TaggingError: If the lines, the bundle or Triton are not as expected.
    """
    machine = describe_machine()
    data = config.data or lines_of(Path("build/checkpoint"))
    lines = read_lines(data)
    workload = describe_lines(data, lines, Bundle.load(config.bundle).encoder())
    with tempfile.TemporaryDirectory(prefix="linetag-path-") as folder:
        plain, followed = _measured(config, lines, Path(folder))
    if not followed:
        raise ServerError("expected calls with a trace each, got none; give it more --seconds")
    return PathResult(machine=machine, workload=workload, ways=tuple(followed), plain_s=plain)


def _measured(
    config: PathConfig, lines: Sequence[str], folder: Path
) -> tuple[tuple[float, ...], list[Way]]:
    """Return how long calls took without notes, and the way of those that were followed.

    The two take turns, or the cost of noting would be that of a machine that gets slower meanwhile.
    """
    plain: list[float] = []
    spans: list[Span] = []
    with ExitStack() as stack:
        served = stack.enter_context(open_served(config.bundle, policy=POLICY))
        traced = stack.enter_context(traced_server(config.bundle, folder))
        client = stack.enter_context(TritonTagger(traced.url, policy=POLICY))
        halt(traced.process_group)
        stack.callback(resume, traced.process_group)  # it must hear the stop

        def ask_plain(seed: int) -> None:
            with served.alone():
                _warm(served.tag, lines, seed)
                plain.extend(answered(_calls(served.tag, lines, config, seed)))

        def ask_traced(seed: int) -> None:
            with running(traced.process_group):
                _warm(client.tag, lines, seed)
                with _noting(spans):
                    _calls(client.tag, lines, config, seed)

        stack.enter_context(frozen_set_up())
        for number in range(NUM_ROUNDS):
            turns = (ask_plain, ask_traced) if number % 2 == 0 else (ask_traced, ask_plain)
            for ask in turns:
                ask(number * len(lines) // NUM_ROUNDS)
    return tuple(plain), ways(spans, traced.traces(), traced.spans())


def _warm(ask: Ask, lines: Sequence[str], seed: int) -> None:
    """Make calls that do not count: what was halted is slow at first."""
    run_load(Closed(1), ask, lines, seconds=WARM_S, seed=seed)


def _calls(ask: Ask, lines: Sequence[str], config: PathConfig, seed: int) -> tuple[Call, ...]:
    """Return the calls of a turn."""
    return run_load(Closed(1), ask, lines, seconds=config.seconds / NUM_ROUNDS, seed=seed)


@contextmanager
def _noting(spans: list[Span]) -> Iterator[None]:
    """Note the client's steps."""
    with (
        noting(wire, "write_request", "write", spans),
        noting(wire, "outcome_of", "read", spans),
        noting(TritonTagger, "tag", "call", spans),
    ):
        yield


if __name__ == "__main__":
    raise SystemExit(main())
