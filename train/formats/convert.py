"""Owns the way of labelled lines from files of any format into another, one line at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from serve.errors import DataError
from serve.examples import Example
from train.corpus.label_map import check_label_map
from train.formats.flat import Reading
from train.formats.registry import read_examples, write_examples
from train.formats.tally import Fields
from train.formats.words import Writing

logger = logging.getLogger(__name__)


def convert(
    sources: Sequence[Path],
    target: Path,
    name: str,
    *,
    reading: Reading,
    writing: Writing,
) -> None:
    """Write the lines of files in the format of that name, whole or not at all.

    What came of it is said in the log.

    Raises:
        DataError: If a line is not as expected, the format cannot hold it, there is none, a label
            to map does not occur, or a file that is not read lies where to write.
    """
    if target.is_file() and not any(s.exists() and target.samefile(s) for s in sources):
        raise DataError(
            f"{target}: expected a new file, or one of those that are read, got another; remove it "
            "or choose another"
        )
    fields = Fields()
    examples = _examples(sources, reading, fields)
    tally = write_examples(target, name, examples, writing)
    logger.info("%s: %d lines, %d spans", target, tally.num_lines, tally.num_spans)
    tally.warn(target)
    fields.warn(target)


def _examples(
    sources: Sequence[Path], reading: Reading, fields: Fields
) -> Iterator[tuple[str, Example]]:
    num_lines, labels, texts = 0, set[str](), set[str]()
    for source in sources:
        own, num_again = set[str](), 0
        for record, example in read_examples(source, reading):
            num_lines += 1
            num_again += example.text in texts
            own.add(example.text)
            fields.note(record)
            labels.update(span.label for span in record.spans)
            yield record.place, example
        texts |= own
        if num_again:
            message = "warning: %s: %d lines have a text that a file before it has; both stay"
            logger.warning(message, source, num_again)
    if not num_lines:
        raise DataError(f"{sources[0]}: expected labelled lines, got none; name other files")
    check_label_map(dict(reading.label_map), labels)
