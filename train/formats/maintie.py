"""Owns MaintIE's JSON: words, and nested entities as ranges of words with a path of types.

    [{"text": "...", "tokens": ["engine", "oil"], "entities": [{"start": 0, "end": 2,
      "type": "PhysicalObject/Substance"}], "relations": []}]

The text is that of the tokens, joined by single blanks, since the entities are theirs: five of the
gold texts are spelt otherwise than their tokens. Relations are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from serve.examples import Example, Span
from serve.files import replacing_file
from train.formats.conll import joined, span_of_words
from train.formats.record import Record, shown, span_of
from train.formats.schemes import WordSpan
from train.formats.words import Writing, spans_of_words, word_offsets

_FORM = 'write {"tokens": ["fix", "hose"], "entities": [{"start": 1, "end": 2, "type": "Item"}]}'


def parse(place: str, row: object) -> Record:
    """Return the labelled line of one object.

    Raises:
        ValueError: If it has no tokens or entities, or an entity is not of its tokens.
    """
    if not isinstance(row, dict):
        raise ValueError(f"expected an object with tokens and entities, got {shown(row)}; {_FORM}")
    tokens, entities = row.get("tokens"), row.get("entities")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ValueError(f'expected a list of words under "tokens", got {shown(tokens)}; {_FORM}')
    if not isinstance(entities, list):
        raise ValueError(f'expected a list under "entities", got {shown(entities)}; {_FORM}')
    text, offsets = joined(tokens)
    spans = tuple(_span(f"entities[{i}]", item, offsets) for i, item in enumerate(entities))
    return Record(place, text, spans, fields=row)


def write(path: Path, examples: Iterable[Example], writing: Writing) -> None:
    """Write one array of objects, one a line.

    Raises:
        ValueError: If a span does not fit its words.
    """
    with replacing_file(path) as file:
        before = "[\n"
        for example in examples:
            file.write(before + json.dumps(_row(example, writing), ensure_ascii=False))
            before = ",\n"
        file.write("\n]\n" if before == ",\n" else "[]\n")


def _span(path: str, item: object, offsets: Sequence[tuple[int, int]]) -> Span:
    match item:
        case {"start": start, "end": end, "type": label}:
            words = span_of(start, end, label, path)
        case _:
            raise ValueError(f"expected start, end and type at {path}, got {shown(item)}; {_FORM}")
    if not 0 <= words.start < words.end <= len(offsets):
        raise ValueError(
            f"expected 0 <= start < end <= {len(offsets)}, the number of tokens, at {path}, "
            f"got start {words.start} and end {words.end}; correct them"
        )
    return span_of_words(WordSpan(words.start, words.end, words.label), offsets)


def _row(example: Example, writing: Writing) -> dict[str, object]:
    offsets = word_offsets(example.text, writing.words)
    return {
        "text": example.text,
        "tokens": [example.text[start:end] for start, end in offsets],
        "entities": [
            {"start": span.first_word, "end": span.end_word, "type": span.label}
            for span in spans_of_words(example, offsets, widen=False)
        ],
        "relations": [],
    }
