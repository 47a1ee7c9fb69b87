"""Owns texts with spans of characters in JSON: spaCy's and Prodigy's form, and doccano's.

    {"text": "fix hose", "spans": [{"start": 4, "end": 8, "label": "Item"}]}       spaCy, Prodigy
    {"text": "fix hose", "label": [[4, 8, "Item"]]}                                doccano
    {"text": "fix hose", "entities": [{"start_offset": 4, "end_offset": 8, "label": "Item"}]}

Lines that Prodigy's annotator rejected or ignored are left out. One whose spans were only shown, or
accepted one by one as by ner.teach, is refused: of its other words nobody has said anything, and
read as labelled they would teach that no entity is there. Prodigy tells by `_is_binary` (in public
records from 2021 on), by the interface under `_view_id` (from 2019 on), and by an answer of a
span's own where such lines were merged. Offsets count characters (code points). One object a line,
or one array of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from serve.examples import Example, Span, labelled_text, write_jsonl
from serve.files import replacing_file
from train.formats.record import Record, shown, span_of
from train.formats.words import Writing

_ACCEPTED = "accept"
_NO_SPANS_LABELLED = frozenset(
    {"ner", "spans", "pos", "dep", "choice", "classification", "text", "text_input", "html"}
)
"""Prodigy's interfaces in which spans are answered by yes or no, or shown beside another question;
in ner_manual, spans_manual and relations they are labelled."""

_FIELDS = ("spans", "label", "entities", "labels")
"""Where one form or another has its spans."""


def parse(place: str, row: object) -> Record | None:
    """Return the labelled line of one object; None where its annotator turned it down.

    Raises:
        ValueError: If it is of neither form or of two, or its text was not labelled as a whole.
    """
    fields = row if isinstance(row, dict) else {}
    if fields.get("answer", _ACCEPTED) != _ACCEPTED:
        return None
    if "answer" in fields and (sign := _not_as_a_whole(fields)):
        raise ValueError(
            f"expected a text labelled as a whole, got {sign}; label it with Prodigy's ner.correct "
            "or ner.manual, or drop the line"
        )
    text, spans = _text_and_spans(row, fields)
    holds = _holds_spans if spans else _holds_anything
    given = [name for name in _FIELDS if holds(fields.get(name))]
    if any(_spans_under(name, fields) != set(spans) for name in given):  # passed over for another
        lists = [name for name in _FIELDS if isinstance(fields.get(name), list)]
        raise ValueError(
            f"expected the spans under one name, got lists under {' and '.join(lists)}; "
            "keep them under spans alone"
        )
    return Record(place, text, tuple(spans), fields=fields)


def write_spans(path: Path, examples: Iterable[Example], _: Writing) -> None:
    """Write spaCy's and Prodigy's form, one object a line."""
    write_jsonl(path, examples)


def write_doccano(path: Path, examples: Iterable[Example], _: Writing) -> None:
    """Write doccano's form, one object a line."""
    with replacing_file(path) as file:
        for example in examples:
            label = [[span.start, span.end, span.label] for span in example.spans]
            row = {"text": example.text, "label": label}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _not_as_a_whole(fields: dict[str, object]) -> str:
    """Return what tells that Prodigy's annotator did not label a text's spans; empty if nothing."""
    if fields.get("_is_binary") or (view := fields.get("_view_id")) == "ner":
        return "spans that were accepted one by one"
    if isinstance(view, str) and view in _NO_SPANS_LABELLED:
        return f"an answer of the interface {view}, in which no spans are labelled"
    spans = fields.get("spans")
    if isinstance(spans, list) and any(isinstance(s, dict) and "answer" in s for s in spans):
        return "spans with answers of their own"
    return ""


def _text_and_spans(row: object, fields: dict[str, object]) -> tuple[str, list[Span]]:
    text = fields.get("text")
    if isinstance(text, str) and "spans" not in fields:
        # Prodigy leaves out the spans of a text without any; a label is one of the text.
        if "answer" in fields and "label" not in fields:
            return text, []
        if "label" not in fields and isinstance(entities := fields.get("entities"), list):
            return text, [_entity(item) for item in entities]
        if "label" not in fields and "labels" in fields:  # older doccano
            return labelled_text({"text": text, "label": fields["labels"]})
    return labelled_text(row)


def _holds_spans(field: object) -> bool:
    """Tell whether a field holds spans: not tags of words, labels of the text or links of it."""
    return isinstance(field, list) and any(map(_has_offsets, field))


def _holds_anything(field: object) -> bool:
    """Tell whether a field may hold spans, of whatever form: where none were read, that is told."""
    return isinstance(field, list) and any(isinstance(item, list | dict) for item in field)


def _has_offsets(item: object) -> bool:
    match item:
        case {"start": _} | {"start_offset": _} | [int(), int(), _, *_]:
            return True
    return False


def _spans_under(name: str, fields: dict[str, object]) -> set[Span] | None:
    """Return the spans under one name; None if what is there cannot be read as spans."""
    alone = {"text": fields["text"], name: fields[name]}
    with suppress(ValueError):
        return set(_text_and_spans(alone, alone)[1])
    return None


def _entity(item: object) -> Span:
    match item:
        case {"start_offset": start, "end_offset": end, "label": label}:
            return span_of(start, end, label)
    raise ValueError(
        f"expected an entity with start_offset, end_offset, label, got {shown(item)}; "
        "export doccano's JSONL"
    )
