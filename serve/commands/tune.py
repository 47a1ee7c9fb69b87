"""Measure how many threads a bundle's graph runs fastest with on this machine, and keep it.

    python -m serve tune
    python -m serve tune --bundle build/bundle --precision fp32 --json

Takes a few seconds, on a CPU; run it when the machine is quiet. The choice is kept in
~/.cache/linetag/threads.json ($XDG_CACHE_HOME), for this processor, graph and ONNX Runtime, and
whoever loads the bundle here goes by it: tag, the embedded tagger, and Triton when it starts.

exit status: 0 measured, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serve.bundle import Bundle, GraphInfo, Precision, Provider
from serve.commands import command_parser, deliver, importing, say
from serve.encoding import EncodedBatch
from serve.errors import TaggingError, needing

if TYPE_CHECKING:
    from serve.running.threads import Threads

NUM_TOKENS = (8, 12, 24)
"""Lengths to measure: work orders are 5 to 15 tokens, and some lines are longer."""


@dataclass(frozen=True)
class TuneConfig:
    """What to measure.

    Attributes:
        bundle: The bundle.
        precision: Its graph; None for the one that a CPU would run.
        json: Print one JSON object.
    """

    bundle: Path = Path("build/bundle")
    precision: Precision | None = None
    json: bool = False


def parse_args(argv: Sequence[str]) -> TuneConfig:
    """Return the command line as a config."""
    parser = command_parser("serve tune", __doc__)
    default = TuneConfig()
    text = f"what python -m export made ({default.bundle})"
    parser.add_argument("--bundle", type=Path, default=default.bundle, metavar="FOLDER", help=text)
    text = "which of its graphs (the best for the hardware)"
    parser.add_argument("--precision", type=Precision, choices=list(Precision), help=text)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return TuneConfig(**vars(parser.parse_args(argv)))


def run(config: TuneConfig) -> int:
    """Measure, keep and print the choice.

    Raises:
        BundleError: If the bundle is missing, damaged, or has no such graph.
        GraphError: If the graph cannot be loaded.
        TaggingError: If the package onnxruntime is not installed, or no folder for the choice
            can be written to.
        OSError: If the choice cannot be kept.
    """
    with needing("the package onnxruntime", "cpu", TaggingError), importing():
        from serve.running.graphs import choose_graph, load_backend
        from serve.running.threads import make_folder, remember
        from serve.running.tuning import best, candidates, measure
    bundle = Bundle.load(config.bundle)
    graph = bundle.graph(config.precision) if config.precision else choose_graph(bundle)
    content = bundle.read_graph(graph)
    make_folder()  # or all would have been measured for nothing
    seconds = measure(
        lambda threads: load_backend(bundle, graph, content, Provider.CPU, threads),
        candidates(),
        batches(),
    )
    choice = best(seconds)
    try:
        path = remember(graph, choice)
    finally:  # they took long, and a full disk shall not cost them
        deliver(as_json(graph, seconds, choice) if config.json else as_table(seconds, choice))
    if not config.json:
        say(f"kept in {path}")
    return 0


def batches() -> list[EncodedBatch]:
    """Return single lines of each length; what they say has no part in their time."""
    shapes = [(1, num_tokens) for num_tokens in NUM_TOKENS]
    ones = [np.ones(shape, dtype=np.int64) for shape in shapes]
    return [EncodedBatch(one, one) for one in ones]


def as_table(seconds: dict[Threads, float], choice: Threads) -> str:
    """Return a row for each choice, the one taken marked."""
    rows = [
        f"{'*' if threads == choice else ' '} {threads.num:>7}"
        f"  {'yes' if threads.spin else 'no':<4}{1e3 * p50:>8.2f}"
        for threads, p50 in seconds.items()
    ]
    return "\n".join([f"  threads  spin {'p50 ms':>7}", *rows])


def as_json(graph: GraphInfo, seconds: dict[Threads, float], choice: Threads) -> str:
    """Return all that was measured."""
    measured = [{**asdict(threads), "p50_s": p50} for threads, p50 in seconds.items()]
    return json.dumps({"graph": graph.file, "choice": asdict(choice), "measured": measured})
