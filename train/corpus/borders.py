"""Owns the check that words can express what gold says: spans off the words' borders are told.

A model tags words, so a span that begins or ends inside one, or in a blank, can be neither trained
nor found as it stands: it is trained on the words that it touches and counted as missed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from serve.encoding import Encoder
from serve.entities import decode_entities
from serve.examples import Example, Span
from train.corpus.data import Split
from train.task.collate import align_tags

logger = logging.getLogger(__name__)


def lost_spans(example: Example, offsets: Sequence[tuple[int, int]]) -> list[Span]:
    """Return the gold spans that a perfect tagger of words would not find.

    Args:
        example: The text's gold spans.
        offsets: Character offsets of its words, in order. Shape: (W, 2)
    """
    entities = decode_entities(align_tags(example, offsets), [1.0] * len(offsets), offsets)
    found = {Span(entity.start, entity.end, entity.label) for entity in entities}
    return [span for span in example.spans if span not in found]


def warn_of_lost_spans(split: Split, encoder: Encoder) -> int:
    """Say how many spans of a split its words cannot express, and where the first one stands."""
    encoded = encoder.encode([example.text for example in split.examples])
    lost = [
        (place, example.text[span.start : span.end], span.label)
        for place, example, text in zip(split.places, split.examples, encoded, strict=True)
        for span in lost_spans(example, text.offsets)
    ]
    if lost:
        place, text, label = lost[0]
        words = "" if encoder.is_between_blanks else "--words punctuation "
        logger.warning(
            "warning: %s: expected spans that begin and end with a word, got %r for %s, and %d "
            "more such; they count as missed, move their borders to those of words, as python -m "
            "train convert %s--widen does",
            place, text, label, len(lost) - 1, words,
        )  # fmt: skip
    return len(lost)
