"""Owns how much is measured, and in which order: what matters most comes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.cuda.families import BERT_BASE, BERT_LARGE, MINILM, TINY, Family
from benchmarks.cuda.sampling import Limits
from benchmarks.cuda.tasks import (
    Task,
    engine_task,
    mix_task,
    offline_task,
    single_stream_task,
)
from benchmarks.cuda.texts import passage_lengths, sample_lines, texts_of, uniform_lengths
from benchmarks.cuda.variants import Variant
from serve.encoding import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much to measure.

    Attributes:
        families: Shapes, the most important one first.
        num_tokens: Lengths of the grid.
        batches: Batch sizes of the grid.
        short: Shortest and longest single text, in tokens.
        passage: Mean and longest length of a passage, in tokens.
        num_short: Single texts.
        num_passages: Passages.
        mix_batch: Passages in a batch.
        hurried: Whether a round of samples is one step only.
    """

    families: tuple[Family, ...]
    num_tokens: tuple[int, ...]
    batches: tuple[int, ...]
    short: tuple[int, int]
    passage: tuple[int, int]
    num_short: int
    num_passages: int
    mix_batch: int
    hurried: bool = False


FULL = Scale(
    families=(BERT_BASE, BERT_LARGE, MINILM),
    num_tokens=(128, 16, 32, 384),
    batches=(1, 32, 8),
    short=(16, 32),
    passage=(177, 384),
    num_short=64,
    num_passages=512,
    mix_batch=32,
)
"""The passages are as long as those of MLPerf's BERT: 384 tokens at most, 177 in the mean."""

REHEARSAL = Scale(
    families=(TINY,),
    num_tokens=(16, 32),
    batches=(1, 8),
    short=(8, 16),
    passage=(20, 48),
    num_short=4,
    num_passages=32,
    mix_batch=16,
    hurried=True,
)
"""For a machine without a GPU: every step is gone through, and no figure means anything."""


def rounds(scale: Scale) -> Iterator[tuple[Family, tuple[Variant, ...]]]:
    """Yield families and the variants to open together: compiling takes longest and comes last."""
    opened = tuple(variant for variant in Variant if variant is not Variant.COMPILED)
    for variants in (opened, (Variant.COMPILED,)):
        for family in scale.families:
            yield family, variants


def tasks(scale: Scale, encoder: Encoder) -> list[Task]:
    """Return the tasks of a model, the most important one first.

    Args:
        scale: How much.
        encoder: The model's, which says how long the sample lines are.
    """
    lines = [
        len(window.input_ids) for text in encoder.encode(sample_lines()) for window in text.windows
    ]
    low, high = scale.short
    mean, longest = scale.passage
    lengths = passage_lengths(mean, longest, scale.num_passages)
    short = texts_of(uniform_lengths(low, high, scale.num_short))
    name, batch = f"passages (mean {mean})", scale.mix_batch
    every = [
        single_stream_task(f"{low} to {high} tokens", short),
        mix_task(name, lengths, batch, longest),
        offline_task(name, texts_of(lengths)),
        mix_task(name, lengths, batch, None),
        mix_task(f"{name} sorted", sorted(lengths), batch, None),
        mix_task("sample lines", lines, batch, 128),
        mix_task("sample lines", lines, batch, None),
        *(engine_task(size, length) for size in scale.batches for length in scale.num_tokens),
    ]
    return (
        [replace(task, limits=Limits(most=1, least=1)) for task in every]
        if scale.hurried
        else every
    )
