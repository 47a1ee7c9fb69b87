"""Owns the labelled line: a text with spans, its JSON-lines form, and its checks.

This is the form every corpus takes once it is read, the form in which a checkpoint carries its dev
lines to export's gate, and the form in which gold and predicted entities are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serve.data_file import numbered_lines, parse_json
from serve.errors import DataError
from serve.files import replacing_file

_FORM = 'write it as {"text": "fix hose", "spans": [{"start": 4, "end": 8, "label": "Item"}]}'


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled range of characters.

    Attributes:
        start: Offset of the first character.
        end: Offset after the last character.
        label: Entity type.
    """

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its gold spans, sorted and disjoint.

    Attributes:
        text: The line as it was written.
        spans: Gold spans in the order of the text.
    """

    text: str
    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        """Refuse spans that are empty, out of the text, unsorted or overlapping.

        Raises:
            ValueError: Naming the span and what was expected.
        """
        previous_end = 0
        for span in self.spans:
            if not 0 <= span.start < span.end <= len(self.text):
                raise ValueError(
                    f"expected 0 <= start < end <= {len(self.text)}, the text's length, "
                    f"got start {span.start} and end {span.end} for {span.label!r}"
                )
            if span.start < previous_end:
                raise ValueError(
                    f"expected spans that do not overlap, got {span.label!r} starting at "
                    f"{span.start} before the last one's end at {previous_end}"
                )
            previous_end = span.end


def fold(text: str) -> str:
    """Return what two texts share that differ in case and blanks only."""
    return " ".join(text.casefold().split())


def read_jsonl(path: Path) -> list[Example]:
    """Read a JSON-lines file of texts with character spans.

    A line is `{"text": "fix hose", "spans": [{"start": 0, "end": 3, "label": "Activity"}]}`, or
    doccano's `{"text": "fix hose", "label": [[0, 3, "Activity"]]}`. Empty lines are skipped.

    Raises:
        DataError: Naming file and line, if a line is not such an object or a span does not fit.
    """
    return [example for _, example in numbered_jsonl(path)]


def numbered_jsonl(path: Path) -> Iterator[tuple[int, Example]]:
    """Yield line number, from 1, and example; see `read_jsonl`."""
    for number, line in numbered_lines(path):
        if line.strip():
            try:
                text, spans = labelled_text(parse_json(line))
                yield number, Example(text, tuple(sorted(spans)))
            except (ValueError, RecursionError) as error:  # nested too deeply
                raise DataError(f"{path}:{number}: {error}") from error


def labelled_text(row: object) -> tuple[str, list[Span]]:
    """Return the text of a JSON line and its spans as they stand there, checked by themselves only.

    Raises:
        ValueError: If the row is not of one of the forms of `read_jsonl`.
    """
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ValueError(f'expected an object with a "text", got {repr(row)[:80]}; {_FORM}')
    raw = row.get("spans", row.get("label"))
    if not isinstance(raw, list):
        got = repr(raw)[:80]
        raise ValueError(
            f'expected a list under "spans" (or doccano\'s "label"), got {got}; {_FORM}'
        )
    return row["text"], [_span(item) for item in raw]


def write_jsonl(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as JSON lines, whole or not at all."""
    with replacing_file(path) as file:
        for example in examples:
            spans = [{"start": s.start, "end": s.end, "label": s.label} for s in example.spans]
            file.write(
                json.dumps({"text": example.text, "spans": spans}, ensure_ascii=False) + "\n"
            )


def _span(item: object) -> Span:
    match item:
        case {"start": int(start), "end": int(end), "label": str(label)} if label and not _is_bool(
            start, end
        ):
            span = Span(start, end, label)
        case [int(start), int(end), str(label)] if label and not _is_bool(start, end):
            span = Span(start, end, label)
        case _:
            raise ValueError(
                f"expected a span with start, end and label, got {repr(item)[:80]}; {_remedy(item)}"
            )
    if not is_label(span.label):
        raise ValueError(
            "expected a label of printable characters, no blank at its ends, got "
            f"{span.label!r}; rename it"
        )
    return span


def is_label(text: str) -> bool:
    """Tell whether a tag can hold a label, and a file of columns give it back."""
    return text.isprintable() and text == text.strip() != ""


def _is_bool(*values: int) -> bool:
    """Tell whether one of several numbers is true or false, which Python takes for 1 and 0."""
    return any(isinstance(value, bool) for value in values)


def _remedy(item: object) -> str:
    """Return what to do about a span of another form."""
    is_label_studio = isinstance(item, dict) and "labels" in item
    return "export from Label Studio as JSON, not as JSON-MIN" if is_label_studio else _FORM
