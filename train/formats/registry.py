"""Owns the list of formats: which one a file is in, and reading and writing any of them.

The name decides where it says enough: folders and texts with a .ann file beside them are brat's,
.conll and its like are columns. Any other file is looked into: JSON by the keys of its first
object, else columns. What was found is said in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serve.errors import DataError
from serve.examples import Example
from train.formats import brat, brat_writing, conll, json_spans, label_studio, maintie
from train.formats.flat import Dropped, Overlaps, Reading, at_level, flat_example
from train.formats.json_rows import json_rows
from train.formats.record import Record, Row, told
from train.formats.schemes import Scheme, tags_of, word_spans
from train.formats.tally import Tally
from train.formats.words import Writing, spans_of_words, word_offsets

COLUMN_SUFFIXES = frozenset({".conll", ".bio", ".iob", ".iob2", ".bioes", ".tsv"})
JSON_SUFFIXES = frozenset({".json", ".jsonl"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of file is read and written.

    Attributes:
        rows: Yields the pieces of a file, each with its place.
        parse: Makes a record of a piece; None for one its annotators did not finish.
        write: Writes examples that it can hold.
        suffix: Of a file that is written; none for a folder.
        holds_blanks: Whether a text without words can be written; else it is left out.
        labels_words: Whether words are labelled; else characters are.
        has_tags: Whether they are by tags of a scheme.
        label_level: How many names of a label's path are kept unless told; 0 for all.
        overlaps: What becomes of overlapping spans unless told.
    """

    rows: Callable[[Path], Iterator[Row]]
    parse: Callable[[str, Any], Record | None]
    write: Callable[[Path, Iterable[Example], Writing], None]
    suffix: str
    holds_blanks: bool = True
    labels_words: bool = False
    has_tags: bool = False
    label_level: int = 0
    overlaps: Overlaps = Overlaps.REFUSE


FORMATS = {
    "conll": Format(
        conll.rows,
        conll.parse,
        conll.write,
        ".conll",
        holds_blanks=False,
        labels_words=True,
        has_tags=True,
    ),
    "jsonl": Format(json_rows, json_spans.parse, json_spans.write_spans, ".jsonl"),
    "doccano": Format(json_rows, json_spans.parse, json_spans.write_doccano, ".jsonl"),
    "label-studio": Format(json_rows, label_studio.parse, label_studio.write, ".json"),
    "brat": Format(brat.rows, brat.parse, brat_writing.write, "", holds_blanks=False),
    "maintie": Format(
        json_rows,
        maintie.parse,
        maintie.write,
        ".json",
        labels_words=True,
        label_level=1,  # the five classes that published figures are about
        overlaps=Overlaps.LONGEST,  # nested by design
    ),
}


def settled(path: Path, reading: Reading) -> Reading:
    """Return how a file is read, with every choice made; a format that was found out is said."""
    name = reading.format or detect(path)
    if not reading.format and path.exists():
        logger.info("%s: format %s", path, name)
    kind, level = FORMATS[name], reading.label_level
    return replace(
        reading,
        format=name,
        label_level=kind.label_level if level is None else level,
        overlaps=reading.overlaps or kind.overlaps,
    )


def read_records(path: Path, reading: Reading) -> Iterator[Record | DataError]:
    """Yield the records of a file, and errors in place of those that are not as expected.

    Their labels are cut to the level asked for, and not mapped yet.

    Raises:
        DataError: If the file cannot be read, or not be followed to its end.
    """
    kind = FORMATS[reading.format or detect(path)]
    num_left_out = 0
    for place, value in kind.rows(path):
        record = value if isinstance(value, DataError) else _parsed(kind, place, value)
        if isinstance(record, Record):
            spans = tuple(at_level(span, reading.label_level) for span in record.spans)
            yield replace(record, spans=spans)
        elif record:
            yield record
        else:
            num_left_out += 1
    if num_left_out:
        logger.info("%s: %d left out that their annotators did not finish", path, num_left_out)


def read_examples(path: Path, reading: Reading) -> Iterator[tuple[Record, Example]]:
    """Yield the records of a file, each with the example it makes; warn of spans it lacks.

    Raises:
        DataError: Naming file and line, or file and JSON path, if a record is not as expected.
    """
    reading, dropped = settled(path, reading), Dropped()
    for record in read_records(path, reading):
        if isinstance(record, DataError):
            raise record
        example = flat_example(record, reading)
        dropped.note(record, example, reading)
        yield record, example
    dropped.warn(path)


def write_examples(
    path: Path, name: str, placed: Iterable[tuple[str, Example]], writing: Writing
) -> Tally:
    """Write examples, each given with the place it comes from, in the format of that name.

    Returns:
        What became of them.

    Raises:
        DataError: Naming the place, if the format cannot hold an example.
    """
    kind, tally, place = FORMATS[name], Tally(), ""

    def examples() -> Iterator[Example]:
        nonlocal place
        for here, example in placed:
            place = here
            held = _held(kind, example, writing)
            tally.add(example, held, _num_joined(held, writing) if kind.has_tags else 0)
            if held:
                yield held

    try:
        kind.write(path, examples(), writing)
    except ValueError as error:
        raise told(place, error) from error
    return tally


def detect(path: Path) -> str:
    """Return the name of a file's format.

    Raises:
        DataError: If the file cannot be read, or a folder holds no annotations.
    """
    if path.is_dir() and not next(path.rglob("*.ann"), None):
        raise DataError(
            f"{path}: expected a folder with brat's .ann files, got none; of a folder of splits "
            "name the file (train.jsonl, dev.jsonl …)"
        )
    if path.is_dir() or (path.suffix in (".txt", ".ann") and path.with_suffix(".ann").exists()):
        return "brat"
    suffix = path.suffix.lower()
    if suffix in COLUMN_SUFFIXES:
        return "conll"
    try:
        _, first = next(json_rows(path), ("", None))
    except DataError as error:
        first = error
    if isinstance(first, dict):
        return _of_object(first)
    return "jsonl" if suffix in JSON_SUFFIXES else "conll"


def _held(kind: Format, example: Example, writing: Writing) -> Example | None:
    """Return what a format can hold of an example; None for a text without words it cannot.

    Raises:
        ValueError: If a span does not begin and end with a word, unless it is to be widened.
    """
    if not (kind.labels_words or writing.widen):
        return example if kind.holds_blanks or example.text.strip() else None
    offsets = word_offsets(example.text, writing.words)
    if not offsets and not kind.holds_blanks:
        return None
    ranges = spans_of_words(example, offsets, widen=writing.widen)
    return replace(example, spans=tuple(conll.span_of_words(span, offsets) for span in ranges))


def _num_joined(held: Example | None, writing: Writing) -> int:
    """Return how many spans their tags make one with the span before, as those of IO do."""
    if held is None or writing.scheme is not Scheme.IO:
        return 0
    offsets = word_offsets(held.text, writing.words)
    spans = spans_of_words(held, offsets, widen=False)
    return len(spans) - len(word_spans(tags_of(len(offsets), spans, writing.scheme)))


def _of_object(first: dict[str, object]) -> str:
    if isinstance(first.get("data"), dict):
        return "label-studio"
    if "tokens" in first and "entities" in first:
        return "maintie"
    if "spans" not in first and not first.keys().isdisjoint(("label", "labels", "entities")):
        return "doccano"
    return "jsonl"


def _parsed(kind: Format, place: str, value: object) -> Record | DataError | None:
    try:
        return kind.parse(place, value)
    except (ValueError, RecursionError) as error:
        return told(place, error)
