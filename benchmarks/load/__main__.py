"""Measure our Triton under load, beside FastAPI with transformers' pipeline, on the same lines.

Both servers run on this machine, started for the run and halted but for their turn, with one client
process of threads before them. *Closed loops*: 1, 8 and 32 callers that wait for an answer before
they ask again, with one line a call and with 32. *Open loops*: lines arrive at random (Poisson) at
shares of what the server does for 32 callers; a line's latency counts from its arrival, so that a
server that stalls pays for every line that came meanwhile (no coordinated omission). The embedded
runtime, given all lines at once, with the graph that Triton takes here, is what "of offline"
compares with.

The pipeline's server is what one would build without us: one uvicorn worker, the pipeline in FP32
in FastAPI's pool of threads, as many as are best here, JSON over connections that stay open.
MLPerf's load generator asks our server too, in its scenarios SingleStream and Server, and with
--perf-analyzer Triton's own C++ client: if their figures are far from ours, ours are wrong.

What the figures do not mean: nothing about networks, other line lengths, or a client on a machine
of its own. Here client and server share the cores, and a call of one line costs Python's gRPC
about half of what the model takes: that bounds the rate of callers with one line a call.

Examples:
  python -m benchmarks.load
  python -m benchmarks.load --seconds 1 --rounds 1 --output build/load.json
  python -m benchmarks.load --perf-analyzer .venv-perf/bin/perf_analyzer

Writes the raw samples to the output and a plot beside it (.png). The last line of standard output
is one JSON document with everything but the samples.

exit status: 0 measured, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.arguments import add_shared
from benchmarks.delivery import delivering
from benchmarks.drawing import needing_matplotlib
from benchmarks.load.calls import Closed, Measured, Open
from benchmarks.load.checks import Check
from benchmarks.load.pipeline_client import open_pipeline
from benchmarks.load.plan import CAPACITY, Subject, measure, num_steps
from benchmarks.load.result import LoadResult
from benchmarks.load.table import tables
from benchmarks.machine import describe_machine
from benchmarks.systems import Served, embedded, open_served, served_precision
from benchmarks.timing import frozen_set_up
from benchmarks.workload import describe_lines, lines_of, read_lines
from serve.bundle import Bundle
from serve.client import Policy
from serve.commands import command_parser, exit_status, say
from serve.signals import interrupting
from train.flags.numbers import at_least

POLICY = Policy(deadline_s=30.0, max_in_flight=64)
"""A benchmark waits for slow answers rather than lose them; 64 is all that an open loop has."""
CHECK_SHARE = 0.6
"""Of the capacity, that MLPerf's Server asks for."""


@dataclass(frozen=True)
class LoadConfig:
    """Settings of a run.

    Attributes:
        checkpoint: What the pipeline runs.
        bundle: What our Triton serves; exported from the checkpoint.
        data: JSON lines; None for the checkpoint's test lines, or dev lines where it has none.
        output: Where the raw samples go; the plot goes beside it.
        seconds: Length of a round.
        rounds: Rounds of each system under each load.
        perf_analyzer: The program; None to leave it out.
        json: Print nothing but the JSON document.
    """

    checkpoint: Path = Path("build/checkpoint")
    bundle: Path = Path("build/bundle")
    data: Path | None = None
    output: Path = Path("benchmarks/results/load.json")
    seconds: float = 2.0
    rounds: int = 2
    perf_analyzer: Path | None = None
    json: bool = False


def parse_args(argv: Sequence[str] | None = None) -> LoadConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.load", __doc__)
    default = LoadConfig()
    add_shared(parser, default, "checkpoint", "bundle", "data", "output", "seconds", "json")
    parser.add_argument("--rounds", type=at_least(1), default=default.rounds, metavar="N",
        help="rounds of every cell (%(default)s)")  # fmt: skip
    parser.add_argument("--perf-analyzer", type=Path, metavar="PROGRAM",
        help="ask with it too, a server that lets it read settings and statistics")  # fmt: skip
    return LoadConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit status."""
    config = parse_args(argv)
    with interrupting():  # or a Triton is left
        return exit_status(lambda: _main(config))


def _main(config: LoadConfig) -> int:
    with needing_matplotlib():  # before the measuring, not after
        from benchmarks.load.plot import plot
    result, picture = run(config), config.output.with_suffix(".png")
    with delivering(None if config.json else tables(result), result.summary()):
        result.write(config.output)
        plot(result, picture)
        say(f"raw samples in {config.output}, plot in {picture}")
    return 0


def run(config: LoadConfig) -> LoadResult:
    """Measure the systems.

    Raises:
        TaggingError: If the lines, the checkpoint, the bundle or a server are not as expected.
    """
    machine = describe_machine()
    data = config.data or lines_of(config.checkpoint)
    lines = read_lines(data)
    workload = describe_lines(data, lines, Bundle.load(config.bundle).encoder())
    with ExitStack() as stack:
        offline = embedded(config.bundle, served_precision(config.bundle))
        served = stack.enter_context(
            open_served(config.bundle, policy=POLICY, is_telling=config.perf_analyzer is not None)
        )
        pipeline = stack.enter_context(open_pipeline(config.checkpoint))
        subjects = [
            Subject(offline, (Closed(1, len(lines)),)), Subject(served), Subject(pipeline)
        ]  # fmt: skip
        measured = _measure(subjects, lines, config)
        checks = tuple(_checks(served, lines, measured, config))
    return LoadResult(
        machine=machine,
        workload=workload,
        systems=tuple(subject.system.facts for subject in subjects),
        measured=tuple(measured),
        checks=checks,
    )


def _measure(
    subjects: Sequence[Subject], lines: Sequence[str], config: LoadConfig
) -> list[Measured]:
    total = num_steps(subjects, config.rounds)
    with frozen_set_up(), tqdm(total=total, desc="rounds", disable=None) as bar:
        return measure(
            subjects, lines,
            seconds=config.seconds, num_rounds=config.rounds, on_round=bar.update,
        )  # fmt: skip


def _checks(
    served: Served, lines: Sequence[str], measured: Sequence[Measured], config: LoadConfig
) -> Iterator[Check]:
    """Ask our server with others' load generators."""
    from benchmarks.load import analyzer, loadgen

    name = served.facts.name
    capacity = next(m.lines_per_s for m in measured if (m.system, m.load) == (name, CAPACITY))
    rate = Open(float(f"{CHECK_SHARE * capacity:.3g}"))
    with served.alone():
        yield loadgen.single_stream(served.tag, lines, seconds=config.seconds)
        yield loadgen.server(served.tag, lines, rate, seconds=config.seconds)
        if config.perf_analyzer:
            for load in (Closed(1), Closed(8), Closed(32)):
                yield analyzer.analyze(config.perf_analyzer, served.url, lines, load)


if __name__ == "__main__":
    raise SystemExit(main())
