"""Owns the way of labelled lines from files of any format into another, one line at a time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serve.errors import DataError
from serve.examples import Example
from train.corpus.label_map import check_label_map, map_labels
from train.formats.flat import Reading
from train.formats.registry import FORMATS, read_examples, write_examples
from train.formats.words import Writing, off_border, word_offsets

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What was counted on the way.

    Attributes:
        num_lines: Lines.
        num_blank: Lines without words.
        num_widened: Spans that begin or end inside a word, where they are widened.
        labels: Spans of each label as the files have it.
    """

    num_lines: int = 0
    num_blank: int = 0
    num_widened: int = 0
    labels: Counter[str] = field(default_factory=Counter)


def convert(
    sources: Sequence[Path],
    target: Path,
    name: str,
    *,
    reading: Reading,
    writing: Writing,
    label_map: Mapping[str, str],
) -> None:
    """Write the lines of files in the format of that name, whole or not at all.

    What came of it is said in the log.

    Raises:
        DataError: If a line is not as expected, the format cannot hold it, there is none, or a
            label to map does not occur.
    """
    tally = Tally()
    examples = _examples(sources, reading, label_map, tally, writing if writing.widen else None)
    write_examples(target, name, examples, writing)
    logger.info("%s: %d lines, %d spans", target, tally.num_lines, tally.labels.total())
    if tally.num_blank and not FORMATS[name].holds_blanks:
        logger.warning("warning: %s: %d lines without words left out", target, tally.num_blank)
    if tally.num_widened:
        logger.warning("warning: %s: %d spans widened to whole words", target, tally.num_widened)


def _examples(
    sources: Sequence[Path],
    reading: Reading,
    label_map: Mapping[str, str],
    tally: Tally,
    widening: Writing | None,
) -> Iterator[tuple[str, Example]]:
    for source in sources:
        for record, example in read_examples(source, reading):
            tally.num_lines += 1
            tally.num_blank += not example.text.strip()
            tally.labels.update(span.label for span in example.spans)
            if widening:
                offsets = word_offsets(example.text, widening.words)
                tally.num_widened += sum(off_border(span, offsets) for span in example.spans)
            yield record.place, map_labels(example, label_map)
    if not tally.num_lines:
        raise DataError(f"{sources[0]}: expected labelled lines, got none")
    check_label_map(label_map, tally.labels)
