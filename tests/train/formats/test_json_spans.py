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


ENTITY = {"start_offset": 4, "end_offset": 8, "label": "Item"}


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"label": [], "entities": [ENTITY]}, "label and entities"),
        ({"spans": [], "label": [[4, 8, "Item"]]}, "spans and label"),
        ({"label": [], "labels": [[4, 8, "Item"]]}, "label and labels"),
        ({"spans": [], "entities": [[4, 8, "Item"]]}, "spans and entities"),
        ({"spans": [[0, 3, "Act"]], "label": [[4, 8, "Item"]]}, "spans and label"),
        ({"spans": [], "label": [[4.0, 8.0, "Item"]]}, "spans and label"),
        ({"spans": [], "label": [["Item", 4, 8]]}, "spans and label"),
        ({"label": [], "entities": [{"startOffset": 4, "endOffset": 8}]}, "label and entities"),
    ],
)
def test_spans_that_would_be_passed_over_for_others_are_refused(
    row: dict[str, object], names: str
) -> None:
    message = f"expected the spans under one name, got lists under {names}; keep"
    with pytest.raises(ValueError, match=message):
        parse("a:1", {"text": "fix hose", **row})


@pytest.mark.parametrize(
    "beside",
    [
        {"entities": [{"id": "Q1", "name": "hose"}]},
        {"labels": [{"name": "urgent", "score": 0.9}]},
        {"label": [[4, 8, "Item"]]},
        {"entities": [ENTITY], "labels": [[4, 8, "Item"]]},
    ],
)
def test_spans_beside_links_labels_of_the_text_or_the_same_spans_are_read(
    beside: dict[str, object],
) -> None:
    spans = [{"start": 4, "end": 8, "label": "Item"}]
    record = parse("a:1", {"text": "fix hose", "spans": spans, **beside})
    assert record is not None
    assert record.spans == (Span(4, 8, "Item"),)


@pytest.mark.parametrize(
    "row",
    [
        {"spans": [], "label": "ok", "labels": ["urgent"]},
        {"spans": [], "entities": [], "labels": ["O", "O"]},
        {"label": [], "entities": []},
    ],
    ids=["labels of the text", "tags of words", "both empty"],
)
def test_a_text_without_entities_may_have_other_fields(row: dict[str, object]) -> None:
    record = parse("a:1", {"text": "fix hose", **row})
    assert record is not None
    assert record.spans == ()


@pytest.mark.parametrize("label", ["Item ", " Item", " "])
@pytest.mark.parametrize("name", ["spans", "entities"])
def test_a_label_with_a_blank_at_an_end_is_refused(name: str, label: str) -> None:
    entity = {"start": 4, "end": 8, "start_offset": 4, "end_offset": 8, "label": label}
    with pytest.raises(ValueError, match=f"no blank at its ends, got '{label}'; rename it"):
        parse("a:1", {"text": "fix hose", name: [entity]})


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
            r"expected a label of printable characters, .*got '\\x1b'",
        ),
        ({"text": "x", "labels": {}}, 'expected a list under "spans"'),
        ([], 'expected an object with a "text"'),
        (
            ["fix hose", {"entities": [[4, 8, "Item"]]}],
            r"an object with a .text., got \['fix hose', .*; write it as {.text.: .fix hose., ",
        ),
        (
            {"text": "x", "label": [{"start": 0, "end": 1, "text": "x", "labels": ["A"]}]},
            "got {.*}; export from Label Studio as JSON, not as JSON-MIN",
        ),
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


SPAN = {"start": 4, "end": 8, "label": "Item"}


@pytest.mark.parametrize(
    ("sign", "message"),
    [
        ({"_is_binary": True, "_view_id": "ner"}, "got spans that were accepted one by one; label"),
        ({"_view_id": "ner"}, "got spans that were accepted one by one"),
        ({"_is_binary": True, "_view_id": "blocks"}, "got spans that were accepted one by one"),
        ({"_view_id": "spans"}, "got an answer of the interface spans, in which no spans are lab"),
        ({"_view_id": "choice", "options": []}, "got an answer of the interface choice, in which"),
        ({"_view_id": "classification", "label": "Fault"}, "got an answer of the interface class"),
        ({"spans": [SPAN, SPAN | {"answer": "reject"}]}, "got spans with answers of their own; la"),
    ],
    ids=str,
)
def test_a_text_whose_spans_nobody_labelled_is_refused(
    sign: dict[str, object], message: str
) -> None:
    row = {"text": "fix hose at pump", "spans": [SPAN], "answer": "accept"} | sign
    with pytest.raises(ValueError, match=f"expected a text labelled as a whole, {message}"):
        parse("a:1", row)
    assert parse("a:1", row | {"answer": "reject"}) is None


@pytest.mark.parametrize(
    "sign",
    [
        {},  # as in explosion/projects, ner-drugs
        {"_view_id": "ner_manual", "_session_id": None},  # ner_fashion_brands there
        {"_is_binary": False, "_view_id": "ner_manual", "_timestamp": 1633999979},
        {"_view_id": "spans_manual"},
        {"_view_id": "relations", "relations": []},
        {"_view_id": "review", "versions": []},
        {"_view_id": "blocks"},
    ],
    ids=str,
)
def test_a_text_that_was_labelled_as_a_whole_in_prodigy_is_read(sign: dict[str, object]) -> None:
    row = {"text": "fix hose at pump", "tokens": [], "spans": [SPAN], "answer": "accept"}
    record = parse("a:1", row | sign)
    assert record is not None
    assert record.spans == (Span(4, 8, "Item"),)


def test_a_text_with_a_label_of_its_own_is_no_text_without_entities() -> None:
    with pytest.raises(ValueError, match=r"expected a list under .*, got 'Fault'; write it"):
        parse("a:1", {"text": "pump leaks", "label": "Fault", "answer": "accept"})
