"""Measure on a CUDA GPU: parity, provider, gate, and the latency of every way to run a tagger.

PyTorch in FP16, plain and compiled, against ONNX Runtime in FP32, in FP16, with CUDA graphs and
packed (padding removed), on the shapes of BERT-base, BERT-large and MiniLM with random weights:
forward passes at 16 to 384 tokens and batches of 1 to 32, batches of mixed lengths, and text in,
entities out. Every engine is compared with PyTorch in FP32, and ONNX Runtime's nodes are counted by
the provider that ran them; an engine that differs, or of which a node fell to the CPU, is not
measured. With --checkpoint, that model comes first, and is held to export's gate on its dev lines.

What the figures mean: medians on this machine, with nothing else on the GPU. They say nothing of
several callers at once, networks, or start-up. What does not fit into the time budget is not
measured, and the table says so; a step that has begun is finished. The output is written after
every step: a run that is ended leaves what it has measured.

Examples:
  python -m benchmarks.gpu
  python -m benchmarks.gpu --checkpoint build/checkpoint --bundle build/bundle
  python -m benchmarks.gpu --cpu       go through every step without a GPU; no figure means anything

Writes the raw samples to the output. The last line of standard output is one JSON document with
everything but the samples.

exit status: 0 measured, 1 something failed (one line each says what), 2 wrong usage
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import add_shared, json_file
from benchmarks.cuda.budget import Budget
from benchmarks.cuda.device import check_gpu, describe_device
from benchmarks.cuda.record import Record
from benchmarks.cuda.run import Outcome, measure
from benchmarks.cuda.scale import FULL, REHEARSAL, rounds, tasks
from benchmarks.cuda.subject import Subject, random_subject, trained_subject
from benchmarks.cuda.table import table
from benchmarks.families import SEED
from benchmarks.machine import describe_machine
from serve.bundle import Provider
from serve.commands import command_parser, exit_status, say
from train.flags.numbers import positive


@dataclass(frozen=True)
class GpuConfig:
    """Settings of a run.

    Attributes:
        checkpoint: A trained tagger to measure first; None for random weights only.
        bundle: A bundle of it, whose FP16 graph is then run; None to convert one.
        output: Where the raw samples go; None for a place that depends on `cpu`.
        budget_s: Seconds after which nothing new is begun; two minutes less than a run may take,
            for the longest step is to open BERT-large.
        cpu: Rehearse on the CPU with a tiny model.
        json: Print nothing but the JSON document.
    """

    checkpoint: Path | None = None
    bundle: Path | None = None
    output: Path | None = None
    budget_s: float = 360.0
    cpu: bool = False
    json: bool = False

    @property
    def target(self) -> Path:
        """Where the raw samples go; a rehearsal does not replace what was measured."""
        return self.output or Path("build/gpu.json" if self.cpu else "benchmarks/results/gpu.json")


def parse_args(argv: Sequence[str] | None = None) -> GpuConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.gpu", __doc__)
    default = GpuConfig()
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="also this trained tagger")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="and its bundle's FP16 graph")
    parser.add_argument("--output", type=json_file, metavar="FILE.json", help="the raw samples")
    parser.add_argument("--budget-s", type=positive, default=default.budget_s, metavar="N",
        help="time box (%(default)s)")  # fmt: skip
    parser.add_argument("--cpu", action="store_true", help="rehearse on the CPU, tiny")
    add_shared(parser, default, "json")
    config = GpuConfig(**vars(parser.parse_args(argv)))
    if config.bundle and not config.checkpoint:
        parser.error("--bundle needs --checkpoint, which its graph is compared with")
    return config


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: GpuConfig) -> int:
    try:
        record = run(config)
    except KeyboardInterrupt:
        say(f"error: interrupted; what was measured, if anything, is in {config.target}")
        return 1
    if not config.json:
        print(f"{table(record)}\n\nraw samples in {config.target}\n")
    print(json.dumps(record.summary(), separators=(",", ":")))
    for fault in record.faults:
        say(f"error: {fault}")
    return 1 if record.faults else 0


def run(config: GpuConfig) -> Record:
    """Measure and write the record.

    Raises:
        TaggingError: If there is no GPU and none was waived, or the checkpoint or the bundle is not
            as expected.
    """
    budget = Budget(config.budget_s)
    if not config.cpu:
        check_gpu()
    machine, device = describe_machine(), describe_device()
    scale = REHEARSAL if config.cpu else FULL

    def record_of(outcome: Outcome) -> Record:
        return Record(
            machine=machine,
            device=device,
            rehearsal=config.cpu,
            seed=SEED,
            budget_s=config.budget_s,
            spent_s=round(budget.spent_s, 1),
            systems=tuple(outcome.systems),
            cells=tuple(outcome.cells),
        )

    with tempfile.TemporaryDirectory(prefix="linetag-") as folder:
        outcome = measure(
            list(_subjects(config, Path(folder))),
            lambda subject, source: tasks(scale, source.checkpoint.encoder, subject.texts),
            provider=Provider.CPU if config.cpu else Provider.CUDA,
            budget=budget,
            keep=lambda outcome: record_of(outcome).write(config.target),
        )
    return record_of(outcome)


def _subjects(config: GpuConfig, folder: Path) -> Iterator[Subject]:
    """Yield what to measure, the user's own tagger first."""
    if config.checkpoint:
        yield trained_subject(config.checkpoint, config.bundle)
    for family, variants in rounds(REHEARSAL if config.cpu else FULL):
        yield random_subject(family, variants, folder)


if __name__ == "__main__":
    raise SystemExit(main())
