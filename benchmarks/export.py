"""Measure what an export costs: seconds, and the most memory its process has at a time.

A checkpoint is exported by `python -m export --fp16 --int8` in a process of its own, its gates on
500 dev lines included. By default it is a BERT of the shape asked for with random weights, which
cost what trained ones do; its lines are the sample corpus's, and its F1 means nothing, so that its
gates are taken but let everything pass. Where a checkpoint's gate closes, the search for a graph
that passes comes on top.

Examples:
  python -m benchmarks.export --output benchmarks/results/export.json
  python -m benchmarks.export --shape minilm --runs 3
  python -m benchmarks.export --checkpoint build/checkpoint

The last line of standard output is one JSON document.

exit status: 0 measured, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from tqdm import tqdm

from benchmarks.arguments import add_shared
from benchmarks.delivery import delivering, write_json
from benchmarks.families import BERT_BASE, LABELS, MINILM, TINY, write_random_checkpoint
from benchmarks.machine import Machine, describe_machine
from benchmarks.texts import SAMPLE, sample_words
from serve.commands import command_parser, exit_status
from serve.errors import BundleError
from serve.examples import Example, read_jsonl, write_jsonl
from train.flags.numbers import at_least

SHAPES = {"bert-base": BERT_BASE, "minilm": MINILM, "tiny": TINY}
NUM_DEV, NUM_CALIBRATION = 500, 512
ALLOW_ALL = ("--allow-f1-loss", "100", "--allow-label-f1-loss", "100")
_KB = 1024


@dataclass(frozen=True)
class ExportCostConfig:
    """Settings of a run.

    Attributes:
        shape: Of the model with random weights, one of `SHAPES`.
        checkpoint: A checkpoint instead.
        runs: Exports, one after the other.
        output: The JSON file; None for none.
    """

    shape: str = "bert-base"
    checkpoint: Path | None = None
    runs: int = 1
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one export took.

    Attributes:
        wall_s: From the start of its process to its end.
        cpu_s: Processor time of all its threads.
        peak_bytes: The most memory it had resident; at least what the measuring process had, a few
            hundred MB, for Linux counts from the fork.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCost:
    """A whole run.

    Attributes:
        machine: Where.
        model: What was exported.
        num_dev: Dev lines of the gates.
        runs: What each export took.
    """

    machine: Machine
    model: str
    num_dev: int
    runs: tuple[Cost, ...]


def parse_args(argv: Sequence[str] | None = None) -> ExportCostConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.export", __doc__)
    default = ExportCostConfig()
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--shape", choices=SHAPES, default=default.shape,
        help="a model of random weights (%(default)s)")  # fmt: skip
    add_shared(model, default, "checkpoint")
    parser.add_argument("--runs", type=at_least(1), default=default.runs, metavar="N",
        help="exports, one after the other (%(default)s)")  # fmt: skip
    add_shared(parser, default, "output")
    return ExportCostConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: ExportCostConfig) -> int:
    cost = measure(config)
    with delivering(table(cost), asdict(cost)):
        if config.output:
            write_json(config.output, asdict(cost))
    return 0


def measure(config: ExportCostConfig) -> ExportCost:
    """Export as often as asked for.

    Raises:
        TaggingError: If the checkpoint or its lines cannot be used, or an export fails.
    """
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="linetag-") as folder:
        checkpoint = config.checkpoint or _random_checkpoint(config.shape, Path(folder, "model"))
        steps = tqdm(range(config.runs), desc="exports", disable=None)
        flags = () if config.checkpoint else ALLOW_ALL
        runs = tuple(_export(checkpoint, Path(folder, "bundle"), flags) for _ in steps)
        num_dev = len(read_jsonl(checkpoint / "dev.jsonl"))
    model = str(config.checkpoint or f"{config.shape}, random weights")
    return ExportCost(machine=machine, model=model, num_dev=num_dev, runs=runs)


def table(cost: ExportCost) -> str:
    """Return the figures as Markdown."""
    seconds = median(run.wall_s for run in cost.runs)
    cpu_s = median(run.cpu_s for run in cost.runs)
    peak = max(run.peak_bytes for run in cost.runs)
    return (
        "| export with FP16, INT8 and gates | dev lines | runs | seconds | CPU s | peak, GB |\n"
        "|---|--:|--:|--:|--:|--:|\n"
        f"| {cost.model} | {cost.num_dev} | {len(cost.runs)} | {seconds:.0f} | {cpu_s:.0f} "
        f"| {peak / 1e9:.2f} |\n\n{cost.machine.hardware}. {cost.machine.software}."
    )


def _random_checkpoint(shape: str, folder: Path) -> Path:
    write_random_checkpoint(SHAPES[shape], folder, sample_words())
    for name, split, num_lines in (
        ("dev.jsonl", "dev.jsonl", NUM_DEV),
        ("calibration.jsonl", "train.jsonl", NUM_CALIBRATION),
    ):
        lines = read_jsonl(SAMPLE.with_name(split))
        # Small splits are taken over and over: what a line costs does not depend on its novelty.
        some = [lines[i % len(lines)] for i in range(num_lines)]
        write_jsonl(folder / name, map(_with_known_labels, some))
    return folder


def _with_known_labels(example: Example) -> Example:
    """Return a line whose labels are some of those that the random model has."""
    return replace(
        example,
        spans=tuple(
            replace(span, label=LABELS[len(span.label) % len(LABELS)]) for span in example.spans
        ),
    )


def _export(checkpoint: Path, output: Path, flags: Sequence[str]) -> Cost:
    """Export in a fresh process.

    Raises:
        BundleError: If it fails; with its last line.
    """
    command = [sys.executable, "-m", "export", "--fp16", "--int8", "--model", str(checkpoint)]
    command += flags
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        child = subprocess.Popen([*command, "--output", str(output)], stdout=said, stderr=said)
        _, status, used = os.wait4(child.pid, 0)  # of this process alone, unlike getrusage
        wall_s = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            last = (said.read().strip().splitlines() or [f"exit status {child.returncode}"])[-1]
            raise BundleError(last.removeprefix("error: "))
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * _KB)


if __name__ == "__main__":
    raise SystemExit(main())
