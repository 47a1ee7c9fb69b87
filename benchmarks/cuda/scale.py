"""Owns how much is measured, and in which order: what matters most comes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.cuda.sampling import Limits
from benchmarks.cuda.tasks import (
    Task,
    engine_task,
    mix_task,
    offline_task,
    single_stream_task,
)
from benchmarks.cuda.variants import Variant
from benchmarks.families import BERT_BASE, BERT_LARGE, MINILM, TINY, Family
from benchmarks.texts import passage_lengths, sample_lines, texts_of, uniform_lengths
from serve.encoding import Encoder

FIXED_TOKENS = 128
"""What servers of fixed shapes commonly pad to."""


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


def tasks(scale: Scale, encoder: Encoder, own: Sequence[str] = ()) -> list[Task]:
    """Return the tasks of a model, the most important one first.

    Args:
        scale: How much.
        encoder: The model's.
        own: The model's own lines to tag, where it has any; made up from the sample's otherwise.
    """
    mixes = _line_mixes(scale, encoder, own or sample_lines())
    if scale.passage[1] <= encoder.max_tokens:
        mixes = [*_passage_mixes(scale), *mixes]
    grid = [
        engine_task(size, length)
        for size in scale.batches
        for length in scale.num_tokens
        if length <= encoder.max_tokens
    ]
    every = [*(_own_texts(scale, own) if own else _made_up_texts(scale)), *mixes, *grid]
    if not scale.hurried:
        return every
    return [replace(task, limits=Limits(least=1, most=1)) for task in every]


def _own_texts(scale: Scale, own: Sequence[str]) -> list[Task]:
    return [
        single_stream_task("own lines", own[: scale.num_short]),
        offline_task("own lines", own),
    ]


def _made_up_texts(scale: Scale) -> list[Task]:
    low, high = scale.short
    mean, longest = scale.passage
    short = texts_of(uniform_lengths(low, high, scale.num_short))
    passages = texts_of(passage_lengths(mean, longest, scale.num_passages))
    return [
        single_stream_task(f"{low} to {high} tokens", short),
        offline_task(f"passages (mean {mean})", passages),
    ]


def _passage_mixes(scale: Scale) -> list[Task]:
    mean, longest = scale.passage
    lengths = passage_lengths(mean, longest, scale.num_passages)
    name, batch = f"passages (mean {mean})", scale.mix_batch
    return [
        mix_task(name, lengths, batch, longest),
        mix_task(name, lengths, batch, None),
        mix_task(f"{name} sorted", sorted(lengths), batch, None),
    ]


def _line_mixes(scale: Scale, encoder: Encoder, lines: Sequence[str]) -> list[Task]:
    """Return batches of real lines, padded to a common fixed length and to their longest."""
    lengths = [len(window.input_ids) for text in encoder.encode(lines) for window in text.windows]
    fixed = min(FIXED_TOKENS, encoder.max_tokens)
    fitting = [length for length in lengths if length <= fixed]
    batch = min(scale.mix_batch, len(fitting))
    paddings = (fixed, None) if fitting else ()
    return [mix_task("lines", fitting, batch, padding) for padding in paddings]
