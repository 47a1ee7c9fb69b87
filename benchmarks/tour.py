"""Show what was built: tag lines on a real Triton, score every graph, compare the latency.

    python -m benchmarks.tour

The end of make run. Wants a checkpoint, its bundle, and the bundle published; the lines are the
checkpoint's test lines, or its dev lines where it has none.

exit status: 0 shown, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import add_shared
from benchmarks.latency import LatencyConfig
from benchmarks.latency import run as measure_latency
from benchmarks.result import Result
from benchmarks.triton import start_triton
from benchmarks.workload import lines_of
from export.checkpoint import TorchBackend, load_checkpoint
from serve.bundle import Bundle
from serve.client import Policy, TritonTagger
from serve.commands import command_parser, exit_status
from serve.display.columns import in_columns
from serve.display.render import Painter, printable
from serve.entities import Entity
from serve.examples import Example, read_jsonl
from serve.scoring import score_tagger
from serve.session import trial_provider
from serve.signals import interrupting
from serve.tagger import Tagger

NUM_SHOWN = 6
MAX_SHOWN_CHARS = 76
LATENCY_SECONDS = 20.0
LATENCY_FILE = Path("build/latency.json")
NEXT_STEPS = """\
How to go on
  make run DATA=FOLDER LABEL_MAP=Old=New,Drop=   the same on lines of your own
  .venv/bin/python -m serve start --detach       Triton again; prints its address
  .venv/bin/python -m serve tag --url ADDRESS    tag what you type, through Triton
  .venv/bin/python -m serve tag FILE             tag a file without a server
  .venv/bin/python -m serve stop"""


@dataclass(frozen=True)
class TourConfig:
    """What to show.

    Attributes:
        checkpoint: What was trained.
        bundle: What was exported from it.
        repository: Where the bundle was published.
    """

    checkpoint: Path = Path("build/checkpoint")
    bundle: Path = Path("build/bundle")
    repository: Path = Path("model_repository")


def parse_args(argv: Sequence[str] | None = None) -> TourConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.tour", __doc__)
    default = TourConfig()
    add_shared(parser, default, "checkpoint", "bundle")
    parser.add_argument("--repository", type=Path, default=default.repository, metavar="DIR",
        help="what Triton serves (%(default)s)")  # fmt: skip
    return TourConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Show it; return the exit status."""
    config = parse_args(argv)
    with interrupting():  # or a Triton is left
        return exit_status(lambda: _main(config))


def _main(config: TourConfig) -> int:
    lines = lines_of(config.checkpoint)
    examples = read_jsonl(lines)
    print(tagged(config.repository, choose_lines(examples)), end="\n\n", flush=True)
    print(f1_table(config, lines.stem, examples), end="\n\n", flush=True)
    latency = LatencyConfig(
        checkpoint=config.checkpoint,
        bundle=config.bundle,
        data=lines,
        seconds=LATENCY_SECONDS,
        optimum=False,  # its environment is made for make bench and make test only
    )
    result = measure_latency(latency)
    print(latency_table(result), end="\n\n")
    print(NEXT_STEPS)
    result.write(LATENCY_FILE)
    return 0


def choose_lines(examples: Sequence[Example]) -> list[str]:
    """Return a few lines that fit a terminal, those with the most different labels first."""
    short = [example for example in examples if len(example.text) <= MAX_SHOWN_CHARS] or examples
    by_labels = sorted(short, key=lambda e: -len({span.label for span in e.spans}))
    return [example.text for example in by_labels[:NUM_SHOWN]]


def tagged(repository: Path, texts: Sequence[str]) -> str:
    """Return lines as a real Triton tags them, painted, and the table of their entities.

    Raises:
        ServerError: If Triton does not start or answer.
    """
    policy = Policy(deadline_s=30.0)
    with start_triton(repository) as server, TritonTagger(server.url, policy=policy) as tagger:
        graph = tagger.graph()
        entities = tagger.tag(texts)
    painter = Painter(in_colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    painted = "\n".join(map(painter.line, texts, entities))
    head = f"Triton: tagger version {graph['version']}, {graph['precision']}, {graph['provider']}"
    legend = f"\n\n{painter.legend()}" if painter.legend() else ""
    return f"{head}\n\n{painted}{legend}\n\n{entity_table(texts, entities)}"


def entity_table(texts: Sequence[str], entities: Sequence[Sequence[Entity]]) -> str:
    """Return a table with one row for each entity: line, label, text, span and score.

    Raises:
        ValueError: If the numbers of texts and of their entities differ.
    """
    rows = [("line", "label", "text", "span", "score")]
    for number, (text, found) in enumerate(zip(texts, entities, strict=True), start=1):
        for entity in found:
            content = printable(text[entity.start : entity.end])
            span = f"{entity.start}-{entity.end}"
            label = printable(entity.label)
            rows.append((str(number), label, content, span, f"{entity.score:.3f}"))
    return "\n".join(in_columns(rows))


def f1_table(config: TourConfig, split: str, examples: Sequence[Example]) -> str:
    """Return the entity F1 of PyTorch and of each graph, on dev as the gate saw it and on lines.

    Raises:
        BundleError: If the bundle cannot be loaded.
        CheckpointError: If the checkpoint cannot be loaded.
    """
    graphs = Bundle.load(config.bundle).manifest.graphs
    checkpoint = load_checkpoint(config.checkpoint)
    reference = checkpoint.tagger(TorchBackend(checkpoint.model))
    rows = [("PyTorch", graphs[0].f1_before, score_tagger(reference, examples).micro.f1)]
    for graph in graphs:
        if trial_provider(needs_cuda=graph.precision.needs_cuda) is None:
            continue
        tagger = Tagger.load(config.bundle, precision=graph.precision)
        rows.append((graph.file, graph.f1_after, score_tagger(tagger, examples).micro.f1))
    lines = [f"{name:<18}{100 * dev:>8.2f}{100 * here:>8.2f}" for name, dev, here in rows]
    return "\n".join([f"{'entity F1':<18}{'dev':>8}{split:>8}", *lines])


def latency_table(result: Result) -> str:
    """Return what one caller waits for a line, and lines per second, each against the first."""
    lines = [f"{'text in, entities out':<24}{'p50 ms':>8}{'':>8}{'lines/s':>10}"]
    for system in result.systems:
        figures = result.figures(system)
        lines.append(
            f"{system.facts.name:<24}{figures['p50_ms']:>8.2f}{figures['p50_ratio']:>7.1f}x"
            f"{figures['lines_per_s']:>10,.0f}{figures['lines_per_s_ratio']:>7.1f}x"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
