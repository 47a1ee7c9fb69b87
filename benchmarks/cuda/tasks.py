"""Owns what an engine is given to do, as steps to time.

* *engine*: a batch of full-length rows that lie on the device already; the forward pass alone.
* *mix*: a batch of rows of mixed lengths, likewise; what padding costs and packing saves.
* *single-stream*: one text, from the string to its entities.
* *offline*: all texts at once, from the strings to their entities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.cuda.engine import Engine
from benchmarks.cuda.sampling import Limits, Step
from benchmarks.cuda.variants import Source, Variant
from benchmarks.texts import random_batch
from serve.encoding import EncodedBatch
from serve.running.schedule import GPU_TOKENS

NUM_BATCHES = 4
"""Different batches of an engine cell, so that no run repeats the one before."""
_FORWARD = frozenset(Variant) - {Variant.SERVED}
_ONE_BY_ONE = frozenset(Variant) - {Variant.FP32, Variant.PACKED}


@dataclass(frozen=True, slots=True)
class Task:
    """Something to time.

    Attributes:
        name: What the table calls it.
        num_lines: Lines that one step takes.
        shows_lines: Whether it is read in lines per second rather than milliseconds.
        steps: Makes its steps for the engine of a variant.
        variants: Which variants it is for.
        limits: How long to take samples.
    """

    name: str
    num_lines: int
    shows_lines: bool
    steps: Callable[[Variant, Engine, Source], list[Step]]
    variants: frozenset[Variant] = _FORWARD
    limits: Limits = field(default_factory=Limits)


def engine_task(batch: int, num_tokens: int) -> Task:
    """Return the forward pass of a batch without padding."""
    rows = [[num_tokens] * batch] * NUM_BATCHES
    return Task(
        f"{batch} x {num_tokens} tokens, ms", batch, False, partial(_batches, rows, num_tokens)
    )


def mix_task(name: str, lengths: Sequence[int], batch: int, pad_to: int | None) -> Task:
    """Return the forward pass of batches of mixed lengths.

    Args:
        name: Where the lengths come from.
        lengths: Of all rows, in order; those of an incomplete last batch are left out.
        batch: B, rows together.
        pad_to: T; None for the longest row of each batch.
    """
    rows = [lengths[i : i + batch] for i in range(0, len(lengths) - batch + 1, batch)]
    padding = f"padded to {pad_to}" if pad_to else "padded to the longest"
    return Task(
        f"{batch} of {name}, {padding}, lines/s",
        batch,
        True,
        partial(_batches, rows, pad_to),
        frozenset({Variant.TORCH, Variant.FP16, Variant.PACKED}),
        Limits(least=2 * len(rows), most=8 * len(rows), seconds=0.2),
    )


def single_stream_task(name: str, texts: Sequence[str]) -> Task:
    """Return the tagging of texts one by one."""
    return Task(
        f"{name}, text in, entities out, one by one, ms",
        1,
        False,
        partial(_texts, [[text] for text in texts]),
        _ONE_BY_ONE,
        Limits(least=len(texts), most=4 * len(texts), seconds=0.5),
    )


def offline_task(name: str, texts: Sequence[str]) -> Task:
    """Return the tagging of all texts at once."""
    return Task(
        f"{name}, text in, entities out, all at once, lines/s",
        len(texts),
        True,
        partial(_texts, [list(texts)]),
        frozenset({Variant.TORCH, Variant.FP16, Variant.SERVED, Variant.PACKED}),
        Limits(least=1, most=5, seconds=0.5),
    )


def _batches(
    rows: Sequence[Sequence[int]],
    num_tokens: int | None,
    _: Variant,
    engine: Engine,
    source: Source,
) -> list[Step]:
    """Return a step for each batch, given the lengths of its rows."""
    size = source.checkpoint.model.config.vocab_size
    batches: list[EncodedBatch] = [
        random_batch(lengths, num_tokens or max(lengths), size, seed)
        for seed, lengths in enumerate(rows)
    ]
    return [Step(partial(engine.load, batch), engine.run) for batch in batches]


def _texts(
    texts: Sequence[Sequence[str]], variant: Variant, engine: Engine, source: Source
) -> list[Step]:
    """Return a step for each list of texts that are tagged together."""
    mixed = variant is Variant.PACKED
    tagger = source.checkpoint.tagger(engine, batch_tokens=GPU_TOKENS, mixed=mixed)
    return [Step(_nothing, partial(tagger.tag, together)) for together in texts]


def _nothing() -> None:
    """Text needs no preparation."""
