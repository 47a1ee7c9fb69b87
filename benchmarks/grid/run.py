"""Owns what a grid times: batches in three systems, lines offline, long texts, and the peak."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.grid.engines import INT8, Engines
from benchmarks.grid.operators import OperatorTime, operator_times
from benchmarks.grid.peak import ROWS, peak_runner
from benchmarks.grid.plan import TEXT_WORDS, Cell, cells, lengths, random_batch, random_text
from benchmarks.grid.result import Row, Scenario
from benchmarks.grid.rounds import measure_groups
from serve.backend import Backend
from serve.encoding import EncodedBatch
from serve.running.lanes import TASK_TOKENS, Lanes
from serve.running.quickest import FIRST_TRIAL
from serve.running.threads import default_num_threads

OFFLINE_TOKENS = 2048
"""Tokens of an offline call: eight tasks of the lanes."""
PROFILED = (8, 32, 128)
"""Tokens of the lines whose operators are timed one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """What is timed against one another, on the same input.

    Attributes:
        scenario: What a call is.
        length: See `Row`.
        count: See `Row`.
        runners: What to call, by the system's name.
    """

    scenario: Scenario
    length: int
    count: int
    runners: Mapping[str, Callable[[], object]]


def measure_grid(engines: Engines, *, seconds: float) -> tuple[Row, ...]:
    """Measure everything in interleaved rounds, for `seconds` at least."""
    _settle(engines)
    groups = [
        *_batches(engines),
        *_products(engines),
        *_offline(engines),
        *_texts(engines),
        *_peak(),
    ]
    taken = measure_groups([g.runners for g in groups], seconds=seconds)
    return tuple(
        Row(group.scenario, name, group.length, group.count, samples)
        for group, by_name in zip(groups, taken, strict=True)
        for name, samples in by_name.items()
    )


def measure_operators(engines: Engines) -> tuple[OperatorTime, ...]:
    """Return where the time of a line of each of `PROFILED` goes inside the INT8 graph."""
    return tuple(
        time
        for num_tokens in PROFILED
        if num_tokens <= engines.checkpoint.encoder.max_tokens
        for time in operator_times(
            engines.int8, random_batch(Cell(num_tokens, 1), engines.vocab_size)
        )
    )


def _settle(engines: Engines) -> None:
    """Let INT8 find out how many threads are quicker for a line, as its first lines do in use."""
    for cell in cells(engines.checkpoint.encoder.max_tokens):
        if cell.batch_size == 1:
            batch = random_batch(cell, engines.vocab_size)
            for _ in range(2 * FIRST_TRIAL):
                engines.engines[-1].backend.logits(batch)


def _batches(engines: Engines) -> Iterator[Group]:
    for cell in cells(engines.checkpoint.encoder.max_tokens):
        batch = random_batch(cell, engines.vocab_size)
        runners = {e.name: partial(_run, e.backend, batch) for e in engines.engines}
        yield Group(Scenario.BATCH, cell.num_tokens, cell.batch_size, runners)


def _products(engines: Engines) -> Iterator[Group]:
    for num_tokens in lengths(engines.checkpoint.encoder.max_tokens):
        yield Group(Scenario.PRODUCTS, num_tokens, 1, engines.products.runners(num_tokens))


def _offline(engines: Engines) -> Iterator[Group]:
    """Yield lines of each length as the tagger hands them to lanes."""
    for num_tokens in lengths(engines.checkpoint.encoder.max_tokens):
        size = max(1, TASK_TOKENS // num_tokens)
        num_batches = OFFLINE_TOKENS // (size * num_tokens)
        batch = random_batch(Cell(num_tokens, size), engines.vocab_size)
        run = partial(_run_lanes, engines.lanes, [batch] * num_batches)
        yield Group(Scenario.OFFLINE, num_tokens, size * num_batches, {INT8: run})


def _texts(engines: Engines) -> Iterator[Group]:
    tagger = engines.tagger()
    for num_words in TEXT_WORDS:
        text = random_text(num_words)
        yield Group(Scenario.TEXT, num_words, 1, {INT8: partial(tagger.tag, [text])})


def _peak() -> Iterator[Group]:
    num_cores = default_num_threads()  # as many as there are lanes, or the share would mean nothing
    for num_rows in ROWS:
        runners = {"MatMulInteger": peak_runner(num_rows, num_cores)}
        yield Group(Scenario.PEAK, num_rows, num_cores, runners)


def _run(backend: Backend, batch: EncodedBatch) -> None:
    backend.logits(batch)


def _run_lanes(lanes: Lanes, batches: list[EncodedBatch]) -> None:
    for _ in lanes.logits(batches):
        pass
