"""Measure a model by length and batch: PyTorch FP32, ONNX Runtime FP32, and linetag's INT8.

Five things in one run, in interleaved rounds, with raw samples:
* tokens in, logits out, at 8 to 512 tokens and 1, 8 and 32 lines (2,048 tokens at most);
* the INT8 graph's products with weights and nothing else, for one line: its time's lower bound;
* offline: the INT8 graph on one single-threaded lane a core, four at most, as in use, and which
  share of these cores' INT8 matrix peak its products with weights reach;
* that peak, measured: ONNX Runtime's integer product alone, on as many cores at once;
* how time grows with tokens, and with the words of a text that is read through windows.
Afterwards, by ONNX Runtime's profiler: where a line's time goes inside the INT8 graph.

What the figures do not mean: nothing about tokenising and decoding, but for the texts; nothing
about accuracy. A model given by its shape has random weights, seeded.

Examples:
  python -m benchmarks.grid --shape bert-base --output benchmarks/results/grid-bert-base.json
  python -m benchmarks.grid --checkpoint build/checkpoint --seconds 60

The last line of standard output is one JSON document with everything but the samples.

exit status: 0 measured, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import add_shared
from benchmarks.delivery import delivering
from benchmarks.families import BERT_BASE, MINILM, Family, write_random_checkpoint
from benchmarks.grid.engines import build_engines
from benchmarks.grid.plan import WORDS
from benchmarks.grid.result import GridResult
from benchmarks.grid.run import measure_grid, measure_operators
from benchmarks.grid.table import tables
from benchmarks.machine import describe_machine
from export.checkpoint import load_checkpoint
from serve.commands import command_parser, exit_status

SHAPES: dict[str, Family] = {"minilm": MINILM, "bert-base": BERT_BASE}


@dataclass(frozen=True)
class GridConfig:
    """Settings of a run.

    Attributes:
        checkpoint: The model; None for one of a known shape with random weights.
        shape: That shape, by its name in `SHAPES`.
        seconds: Least time to measure for, after set-up.
        output: Where the raw samples go; None to write none.
    """

    checkpoint: Path | None = None
    shape: str = "bert-base"
    seconds: float = 60.0
    output: Path | None = None


def parse_args(argv: Sequence[str] | None = None) -> GridConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.grid", __doc__)
    default = GridConfig()
    model = parser.add_mutually_exclusive_group()
    add_shared(model, default, "checkpoint")
    model.add_argument("--shape", choices=[*SHAPES], default=default.shape,
        help="a model of random weights (%(default)s)")  # fmt: skip
    add_shared(parser, default, "seconds", "output")
    return GridConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: GridConfig) -> int:
    result = run(config)
    with delivering(tables(result), result.summary()):
        if config.output:
            result.write(config.output)
    return 0


def run(config: GridConfig) -> GridResult:
    """Build the systems and measure them.

    Raises:
        TaggingError: If the checkpoint cannot be used or exported.
    """
    machine = describe_machine()
    with _checkpoint(config) as folder:
        engines = build_engines(load_checkpoint(folder))
    return GridResult(
        machine=machine,
        model=config.checkpoint.name if config.checkpoint else f"{config.shape}, random weights",
        macs_per_token=engines.macs_per_token,
        systems={e.name: f"{e.precision}, {e.provider}" for e in engines.engines},
        max_abs_diff=engines.differences(),
        rows=measure_grid(engines, seconds=config.seconds),
        operators=measure_operators(engines),
    )


@contextmanager
def _checkpoint(config: GridConfig) -> Iterator[Path]:
    if config.checkpoint:
        yield config.checkpoint
        return
    with tempfile.TemporaryDirectory(prefix="linetag-") as name:
        write_random_checkpoint(SHAPES[config.shape], Path(name), WORDS)
        yield Path(name)


if __name__ == "__main__":
    raise SystemExit(main())
