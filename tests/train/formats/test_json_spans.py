import json
from pathlib import Path

import pytest

from serve.examples import Example, Span
from train.formats.json_spans import parse, write_doccano
from train.formats.words import Writing

SPANS = (Span(0, 3, "Act"), Span(4, 8, "Item"))


@pytest.mark.parametrize(
    "row",
    [
        {
            "spans": [
                {"start": 0, "end": 3, "label": "Act"},
                {"start": 4, "end": 8, "label": "Item"},
            ]
        },
        {"answer": "accept", "spans": [[0, 3, "Act"], [4, 8, "Item"]], "tokens": []},
        {"label": [[0, 3, "Act"], [4, 8, "Item"]]},
        {"labels": [[0, 3, "Act"], [4, 8, "Item"]], "id": 1},
        {
            "entities": [
                {"id": 1, "start_offset": 0, "end_offset": 3, "label": "Act"},
                {"id": 2, "start_offset": 4, "end_offset": 8, "label": "Item"},
            ],
            "relations": [],
        },
    ],
    ids=["spaCy", "Prodigy", "doccano", "older doccano", "doccano with relations"],
)
def test_every_form_is_read(row: dict[str, object]) -> None:
    record = parse("a:1", {"text": "fix hose", **row})
    assert record is not None
    assert (record.place, record.text, record.spans) == ("a:1", "fix hose", SPANS)


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_what_prodigys_annotator_turned_down_is_left_out(answer: str) -> None:
    assert parse("a:1", {"text": "x", "spans": [], "answer": answer}) is None


def test_prodigys_text_without_spans_has_none() -> None:
    record = parse("a:1", {"text": "x", "answer": "accept"})
    assert record is not None
    assert record.spans == ()


def test_spans_that_overlap_or_leave_the_text_are_kept_for_the_lint() -> None:
    record = parse("a:1", {"text": "ab", "spans": [[1, 9, "A"], [0, 2, "B"]]})
    assert record is not None
    assert record.spans == (Span(1, 9, "A"), Span(0, 2, "B"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"text": "x", "entities": [{"start": 0}]},
            "expected an entity with start_offset, end_off",
        ),
        (
            {"text": "x", "entities": [{"start_offset": True, "end_offset": 1, "label": "A"}]},
            "expected whole numbers as start and end, got True and 1",
        ),
        (
            {"text": "x", "entities": [{"start_offset": 0, "end_offset": 1, "label": "\x1b"}]},
            r"expected a label of printable characters, got '\\x1b'",
        ),
        ({"text": "x", "labels": {}}, 'expected a list under "spans"'),
        ([], 'expected an object with a "text"'),
    ],
)
def test_a_row_of_no_form_is_refused(row: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse("a:1", row)


def test_doccanos_form_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_doccano(path, [Example("fix hose", SPANS), Example("é", ())], Writing())
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"text": "fix hose", "label": [[0, 3, "Act"], [4, 8, "Item"]]},
        {"text": "é", "label": []},
    ]


@pytest.mark.parametrize("sign", [{"_is_binary": True}, {"_view_id": "ner"}])
def test_a_text_of_which_one_span_was_accepted_is_refused(sign: dict[str, object]) -> None:
    span = {"start": 4, "end": 8, "label": "Item"}
    row = {"text": "fix hose at pump", "spans": [span], "answer": "accept"}
    with pytest.raises(ValueError, match="expected a text labelled as a whole, got spans that"):
        parse("a:1", row | sign)
    assert parse("a:1", row | sign | {"answer": "reject"}) is None
    whole = {"_is_binary": False, "_view_id": "ner_manual"}
    record = parse("a:1", row | whole)
    assert record is not None
    assert record.spans == (Span(4, 8, "Item"),)
