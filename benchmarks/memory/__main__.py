"""Measure memory over 10,000 lines of mixed length, and the time to the first answer.

Each graph of a bundle that is meant for the CPU tags in a process of its own, and with --triton
the server and its model's processes do too: 1 to 256 words a line, now and then 2,000, in batches
of 1 to 32. A curve is flat if it grows by no more than 1 MB per 1,000 lines after its first fifth.
The time to the first answer is the median of 10 fresh processes; files are in the system's cache.

Examples:
  python -m benchmarks.memory --output benchmarks/results/memory.json
  python -m benchmarks.memory --bundle build/bundle --lines 2000 --triton

Writes raw samples and, beside them, a plot (.png). The last line of standard output is one JSON
document with everything but the samples.

exit status: 0 measured, all flat; 1 failed, or a curve grows (one line says which); 2 wrong usage
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.arguments import add_shared
from benchmarks.delivery import delivering
from benchmarks.drawing import needing_matplotlib
from benchmarks.machine import describe_machine
from benchmarks.memory.children import curve_of, first_answer
from benchmarks.memory.curve import Curve, follow
from benchmarks.memory.group import group_bytes
from benchmarks.memory.lines import batches
from benchmarks.memory.result import MemoryResult, tables
from benchmarks.triton import start_triton
from serve.bundle import Bundle, Provider
from serve.client import Policy, TritonTagger
from serve.commands import command_parser, exit_status
from serve.repository import publish
from serve.signals import interrupting
from train.flags.numbers import at_least

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class MemoryConfig:
    """Settings of a run.

    Attributes:
        bundle: What is measured.
        lines: Number of lines each system tags.
        processes: Fresh processes for the first answer of each graph.
        triton: Also measure a server.
        output: Where the raw samples go; the plot goes beside it. None to write none.
    """

    bundle: Path = Path("build/bundle")
    lines: int = 10_000
    processes: int = 10
    triton: bool = False
    output: Path | None = None


def parse_args(argv: Sequence[str] | None = None) -> MemoryConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.memory", __doc__)
    default = MemoryConfig()
    add_shared(parser, default, "bundle", "output")
    parser.add_argument("--lines", type=at_least(1), default=default.lines, metavar="N",
        help="lines a graph tags, 500 or more (%(default)s)")  # fmt: skip
    parser.add_argument("--processes", type=at_least(1), default=default.processes, metavar="N",
        help="fresh processes that time their first answer (%(default)s)")  # fmt: skip
    parser.add_argument("--triton", action="store_true", help="measure a server too")
    config = MemoryConfig(**vars(parser.parse_args(argv)))
    if config.lines < 500:
        parser.error(f"--lines: expected at least 500, to tell growth, got {config.lines}")
    return config


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit status."""
    config = parse_args(argv)
    with interrupting():  # or a Triton is left
        return exit_status(lambda: _main(config))


def _main(config: MemoryConfig) -> int:
    if config.output:
        with needing_matplotlib():  # before the measuring
            from benchmarks.memory.plot import plot
    result = run(config)
    with delivering(tables(result), result.summary()):
        if config.output:
            result.write(config.output)
            plot(result.curves, config.output.with_suffix(".png"))
    return verdict(result.curves)


def verdict(curves: Sequence[Curve]) -> int:
    """Name the curves that grow; return the exit status."""
    growing = [f"{curve.name} by {curve.growth_mb:.2f} MB" for curve in curves if not curve.is_flat]
    if growing:
        print(
            f"error: expected flat memory, got growth per 1,000 lines: {', '.join(growing)}; "
            "measure more --lines to see whether it ends",
            file=sys.stderr,
        )
    return int(bool(growing))


def run(config: MemoryConfig) -> MemoryResult:
    """Measure each graph meant for the CPU, and the server if asked for.

    Raises:
        TaggingError: If the bundle or Triton is not as expected.
    """
    machine = describe_machine()
    manifest = Bundle.load(config.bundle).manifest
    names = [g.precision for g in manifest.graphs if g.provider is Provider.CPU]
    steps = tqdm(names, desc="graphs", disable=None)
    curves = [curve_of(config.bundle, name, config.lines) for name in steps]
    if config.triton:
        curves.append(_served(config))
    answers = {
        str(name): tuple(first_answer(config.bundle, name) for _ in range(config.processes))
        for name in names
    }
    return MemoryResult(machine=machine, curves=tuple(curves), first_answers=answers)


def _served(config: MemoryConfig) -> Curve:
    with tempfile.TemporaryDirectory(prefix="linetag-") as folder:
        publish(config.bundle, Path(folder))
        with (
            start_triton(folder) as server,
            TritonTagger(server.url, policy=Policy(deadline_s=TIMEOUT_S)) as client,
        ):
            group = server.state.pid  # it leads its group
            return follow("triton", client.tag, batches(config.lines), lambda: group_bytes(group))


if __name__ == "__main__":
    raise SystemExit(main())
