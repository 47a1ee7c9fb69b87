"""Owns the way from labelled lines to training batches: what each token is trained on.

Policy: a word (as `serve.words` cuts them) gets `B-X` or `I-X` when its first character lies in
a span of X, `B-` when no word before it does, else `O`. Its first token is trained on that tag and
its other tokens on nothing, since serving reads the first one only; `label_all_tokens` trains the
others on the tag's `I-` form instead. On mwo2kg neither is clearly better: mean F1 of three seeds
0.839 and 0.834 on dev, 0.824 and 0.829 on test (benchmarks/results/word_policy.json).

Of overlapping windows only the one a word is read from trains it. Batches hold sequences of similar
length, so that little of them is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from serve.encoding import Encoder, Window
from serve.examples import Example
from serve.labels import OUTSIDE, Tags

IGNORE_INDEX = -100
"""Tag id of tokens that train nothing."""
POOL_BATCHES = 50
"""Batches drawn at random together before they are sorted by length."""


@dataclass(frozen=True, slots=True, eq=False)
class Windowed:
    """What is trained on: a window, and what a material puts beside it.

    Attributes:
        window: The sequence.
    """

    window: Window


@dataclass(frozen=True, slots=True, eq=False)
class LabelledWindow(Windowed):
    """A window and what its tokens are trained on.

    Attributes:
        tag_ids: Tag id of each token, or `IGNORE_INDEX`. Shape: (T,)
    """

    tag_ids: list[int]


class TrainingBatch(NamedTuple):
    """Windows padded to one length, with what is to come out of them.

    Attributes:
        input_ids: Shape: (B, T), int64.
        attention_mask: 1 for tokens, 0 for padding. Shape: (B, T), int64.
        targets: Tag ids, `IGNORE_INDEX` where nothing is trained. Shape: (B, T), int64. Or a
            probability for each tag, 0 throughout where nothing is. Shape: (B, T, L), float32.
        num_trained: Number of tokens that train.
    """

    input_ids: Tensor
    attention_mask: Tensor
    targets: Tensor
    num_trained: int


def align_tags(example: Example, offsets: Sequence[tuple[int, int]]) -> list[str]:
    """Return the gold tag of each word of a text: that of the first span it has a character of.

    Args:
        example: The text's gold spans.
        offsets: Character offsets of its words, in order. Shape: (W, 2)

    Returns:
        BIO tags. Shape: (W,)
    """
    tags: list[str] = []
    spans = iter(example.spans)
    span, is_first = next(spans, None), True
    for start, end in offsets:
        while span and span.end <= start:
            span, is_first = next(spans, None), True
        if span and span.start < end:
            tags.append(f"{'B' if is_first else 'I'}-{span.label}")
            is_first = False
        else:
            tags.append(OUTSIDE)
    return tags


def label_windows(
    examples: Sequence[Example], encoder: Encoder, tags: Tags, *, label_all_tokens: bool
) -> list[LabelledWindow]:
    """Encode examples as serving does and put the tags beside the tokens."""
    labelled: list[LabelledWindow] = []
    encoded = encoder.encode([example.text for example in examples])
    for example, text in zip(examples, encoded, strict=True):
        word_tags = align_tags(example, text.offsets)
        for window in text.windows:
            tag_ids = _token_tags(window, word_tags, tags, label_all_tokens)
            if window.first_tokens:  # a batch that trains nothing would have no mean loss
                labelled.append(LabelledWindow(window, tag_ids))
    return labelled


def _token_tags(
    window: Window, word_tags: list[str], tags: Tags, label_all_tokens: bool
) -> list[int]:
    tag_ids = [IGNORE_INDEX] * len(window.input_ids)
    for word, token in enumerate(window.first_tokens, start=window.first_word):
        name = word_tags[word]
        tag_ids[token] = tags.id_of(name)
        if label_all_tokens:
            rest = tags.id_of(name if name == OUTSIDE else f"I-{name[2:]}")
            word_id = window.word_ids[token]
            while window.word_ids[token := token + 1] == word_id:
                tag_ids[token] = rest
    return tag_ids


def group_by_length(
    lengths: Sequence[int], batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Return one epoch's batches of indices: random, yet each of similar lengths."""
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pool_size = batch_size * POOL_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), pool_size):
        pool = sorted(order[start : start + pool_size], key=lambda index: lengths[index])
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def collate(batch: Sequence[LabelledWindow], encoder: Encoder) -> TrainingBatch:
    """Pad windows and their tags to the longest's length."""
    windows = [labelled.window for labelled in batch]
    arrays = encoder.collate(windows, max(len(window.input_ids) for window in windows))
    targets = torch.full(arrays.input_ids.shape, IGNORE_INDEX)
    for row, labelled in enumerate(batch):
        targets[row, : len(labelled.tag_ids)] = torch.tensor(labelled.tag_ids)
    return TrainingBatch(
        torch.from_numpy(arrays.input_ids),
        torch.from_numpy(arrays.attention_mask),
        targets,
        num_trained=int((targets != IGNORE_INDEX).sum()),
    )
