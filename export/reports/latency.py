"""Owns the report's latencies: each graph against PyTorch, tokens in, logits out, in little time.

A cell is a batch size and a length. In each round every system runs in turn, so that whatever else
the machine does falls on all of them; a system's figure is the median of its rounds. Cells that
would not fit the time are left out, and the report says so. `benchmarks` measures with more care,
from text to entities.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from export.checkpoint import TorchBackend
from export.judge import MEANT_FOR, Gated
from export.source import Source
from serve.backend import Backend
from serve.encoding import EncodedBatch
from serve.running.threads import Threads, default_num_threads
from serve.session import OrtBackend, default_provider

CELLS = ((1, 8), (1, 16), (1, 32), (8, 16), (1, 128), (8, 32), (32, 16), (8, 128), (32, 128))
"""Batch size and tokens, in the order they are measured."""
BUDGET_S = 8.0
MIN_ROUNDS, MAX_ROUNDS = 3, 25
PYTORCH = "PyTorch"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one shape takes.

    Attributes:
        batch_size: Sequences that run together.
        num_tokens: Tokens of each, none of them padding.
        rounds: Runs of each system; 0 where there was no time for the cell.
        median_ms: Of each system, by name.
    """

    batch_size: int
    num_tokens: int
    rounds: int
    median_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Latencies:
    """What was measured.

    Attributes:
        threads: Threads inside an operator of ONNX Runtime.
        load: Processes that wanted a core in the minute before, this export's own included.
        num_cores: Cores there are for them.
        cells: One for each of `CELLS` that the model is long enough for.
        left_out: Why a graph is not among the systems, by name.
    """

    threads: int
    load: float
    num_cores: int
    cells: tuple[Cell, ...]
    left_out: dict[str, str]


def measure_latency(source: Source, graphs: Sequence[Gated]) -> Latencies:
    """Measure each graph that is meant for this machine, and PyTorch."""
    provider = default_provider()
    systems: dict[str, Callable[[EncodedBatch], object]] = {
        PYTORCH: TorchBackend(source.checkpoint.model).logits
    }
    left_out = {}
    for graph in graphs:
        info = graph.file.info
        meant_for = MEANT_FOR[info.precision]
        if meant_for not in ("CPUExecutionProvider", provider):
            left_out[info.file] = f"not measured: it is meant for {meant_for}"
            continue
        threads = Threads(default_num_threads(), spin=False)  # a spinning one would slow the others
        backend = OrtBackend(
            graph.file.content, provider=meant_for, threads=threads,
            cuda_graphs=not info.precision.needs_cuda,
        )  # fmt: skip
        systems[info.file] = _one_by_one(backend) if info.alone else backend.logits
    shapes = [shape for shape in CELLS if shape[1] <= source.checkpoint.encoder.max_tokens]
    return Latencies(
        threads=default_num_threads(),
        load=os.getloadavg()[0],
        num_cores=len(os.sched_getaffinity(0)),
        cells=tuple(_measured(systems, shapes, _tokens(source))),
        left_out=left_out,
    )


def _one_by_one(backend: Backend) -> Callable[[EncodedBatch], object]:
    """Return the way a graph runs that takes one text at a time."""
    return lambda batch: [
        backend.logits(EncodedBatch(ids[None], mask[None]))
        for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
    ]


def _measured(
    systems: dict[str, Callable[[EncodedBatch], object]],
    shapes: Sequence[tuple[int, int]],
    tokens: NDArray[np.int64],
) -> list[Cell]:
    """Return a cell for each shape, each with its share of the time that is left."""
    cells: list[Cell] = []
    end = time.perf_counter() + BUDGET_S
    per_token_s = 0.0  # what all systems together took for a token so far
    for place, (batch_size, num_tokens) in enumerate(shapes):
        left = end - time.perf_counter()
        if cells and per_token_s * batch_size * num_tokens * 2 * (1 + MIN_ROUNDS) > left:
            cells.append(Cell(batch_size, num_tokens, 0, {}))
            continue
        ids = np.resize(tokens, (batch_size, num_tokens))
        until = time.perf_counter() + left / (len(shapes) - place)
        samples = _rounds(systems, EncodedBatch(ids, np.ones_like(ids)), until)
        medians = {name: median(times) for name, times in samples.items()}
        per_token_s = sum(medians.values()) / ids.size
        in_ms = {name: 1e3 * seconds for name, seconds in medians.items()}
        cells.append(Cell(batch_size, num_tokens, len(samples[PYTORCH]), in_ms))
    return cells


def _rounds(
    systems: dict[str, Callable[[EncodedBatch], object]], batch: EncodedBatch, until: float
) -> dict[str, list[float]]:
    """Return the seconds of each system's runs, but the first; all run in turn."""
    samples: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(1 + MAX_ROUNDS):
        if number > MIN_ROUNDS and time.perf_counter() > until:
            break
        for name, run in systems.items():
            run(batch)  # the caches hold another system's weights
            start = time.perf_counter()
            run(batch)
            samples[name].append(time.perf_counter() - start)
    return {name: times[1:] for name, times in samples.items()}


def _tokens(source: Source) -> NDArray[np.int64]:
    """Return the tokens of real lines, one after the other."""
    texts = source.checkpoint.encoder.encode(source.calibration)
    return np.concatenate([window.input_ids for text in texts for window in text.windows])
