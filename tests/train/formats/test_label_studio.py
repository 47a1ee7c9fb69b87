import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from serve.examples import Example, Span
from train.formats.label_studio import labelling_interface, parse, prediction_task, write
from train.formats.record import Record
from train.formats.words import Writing


def result(start: object, end: object, *labels: str, **value: object) -> dict[str, object]:
    return {"type": "labels", "value": {"start": start, "end": end, "labels": [*labels], **value}}


def task(*annotations: dict[str, object], **data: object) -> dict[str, object]:
    return {"id": 1, "data": data or {"text": "fix hose"}, "annotations": [*annotations]}


def annotation(*results: dict[str, object], **about: object) -> dict[str, object]:
    return {"result": [*results], "was_cancelled": False, **about}


def labels(*annotations: dict[str, object]) -> list[str]:
    record = parse("a:1", task(*annotations))
    assert record is not None
    return [span.label for span in record.spans]


def test_a_task_as_exported_is_read() -> None:
    first = result(4, 8, "Item", text="hose")
    record = parse("t.json:$[0]", task(annotation(result(0, 3, "Act", text="fix"), first)))
    assert isinstance(record, Record)
    assert record.text == "fix hose"
    assert record.spans == (Span(0, 3, "Act"), Span(4, 8, "Item"))
    assert record.fields["id"] == 1


def test_cancelled_annotations_do_not_count() -> None:
    assert labels(annotation(result(0, 3, "A"), was_cancelled=True), annotation()) == []
    assert parse("a:1", task(annotation(result(0, 3, "A"), was_cancelled=True))) is None


def test_a_task_that_nobody_annotated_is_left_out() -> None:
    assert parse("a:1", task()) is None


def test_of_several_annotations_the_ground_truth_is_taken() -> None:
    true = annotation(result(0, 3, "A"), ground_truth=True, updated_at="2024-01-01T00:00:00Z")
    later = annotation(result(0, 3, "B"), updated_at="2025-01-01T00:00:00Z")
    assert labels(true, later) == ["A"]


def test_else_the_one_updated_last_else_the_last() -> None:
    late = annotation(result(0, 3, "A"), updated_at="2025-01-01T00:00:00Z")
    early = annotation(result(0, 3, "B"), updated_at="2024-01-01T00:00:00Z")
    assert labels(late, early) == ["A"]
    assert labels(annotation(result(0, 3, "A")), annotation(result(0, 3, "B"))) == ["B"]


CHOICE: dict[str, object] = {"type": "choices", "value": {"choices": ["urgent"]}}


@pytest.mark.parametrize(
    ("annotations", "expected", "is_disputed"),
    [
        ([annotation(result(0, 3, "A")), annotation(CHOICE)], ["A"], True),
        (
            [
                annotation(result(0, 3, "A"), updated_at="2024-01-01T00:00:00Z"),
                annotation(CHOICE, updated_at="2025-01-01T00:00:00Z"),
            ],
            ["A"],
            True,
        ),
        ([annotation(result(0, 3, "A")), annotation(result(0, 8, "A"))], ["A"], True),
        ([annotation(CHOICE), annotation()], [], False),
        ([annotation(result(0, 3, "A")), annotation()], [], True),
        ([annotation(result(0, 3, "A")), annotation(result(0, 3, "B"))], ["B"], True),
        ([annotation(result(0, 3, "A")), annotation(result(0, 3, "A"), CHOICE)], ["A"], False),
        ([annotation(result(0, 3, "A"), ground_truth=True), annotation()], ["A"], False),
        ([annotation(result(0, 3, "A"), was_cancelled=True), annotation()], [], False),
        ([annotation(result(0, 3, "A")), {"result": [{"value": {"labels": 7}}, 3]}], None, True),
    ],
)
def test_annotations_that_differ_are_a_dispute_and_choices_alone_win_none(
    annotations: list[dict[str, object]], expected: list[str] | None, is_disputed: bool
) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"expected a list at annotations\[1\]"):
            labels(*annotations)
        return
    assert labels(*annotations) == expected
    record = parse("a:1", task(*annotations))
    assert record is not None
    assert record.is_disputed == is_disputed


def test_results_without_labels_are_passed_over_and_two_labels_are_two_spans() -> None:
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    both = result(0, 3, "A", "B")
    assert labels(annotation(choice, relation, result(0, 3), both)) == ["A", "B"]


def test_the_only_text_is_found_under_any_name() -> None:
    record = parse("a:1", task(annotation(), order="fix hose", number=3))
    assert record is not None
    assert record.text == "fix hose"
    with pytest.raises(
        ValueError, match=r"one text only, under data, got .*; name the labelled one"
    ):
        parse("a:1", task(annotation(), order="fix", remark="hose"))


def test_offsets_in_utf16_units_are_told_by_the_quoted_text() -> None:
    old = task(annotation(result(3, 7, "Item", text="hose")), text="🔧 hose")
    new = task(annotation(result(2, 6, "Item", text="hose")), text="🔧 hose")
    both = task(annotation(result(0, 2, "Tool", text="🔧")), text="🔧")
    for found, start, end in ((old, 2, 6), (new, 2, 6), (both, 0, 1)):
        record = parse("a:1", found)
        assert record is not None
        assert [(span.start, span.end) for span in record.spans] == [(start, end)]


def test_an_annotation_counts_in_one_way() -> None:
    text = "🔧 777 hose"
    hose = result(7, 11, "Item", text="hose")  # right in UTF-16 units only
    digit, unquoted = result(3, 4, "Id", text="7"), result(4, 6, "Id")
    record = parse("a:1", task(annotation(digit, unquoted, hose), text=text))
    assert record is not None
    places = [(span.start, span.end) for span in record.spans]
    assert places == [(2, 3), (3, 5), (6, 10)]
    alone = parse("a:1", task(annotation(digit, unquoted), text=text))
    assert alone is not None
    assert [(span.start, span.end) for span in alone.spans] == [(3, 4), (4, 6)]


@pytest.mark.parametrize("kind", ["hypertextlabels", "paragraphlabels"])
def test_labels_on_a_page_or_a_dialogue_are_refused_not_lost(kind: str) -> None:
    value = {"startOffset": 4, "endOffset": 8, "start": "/p[1]", "end": "/p[1]", kind: ["Item"]}
    with pytest.raises(ValueError, match=rf"result\[0\]\.value, got '{kind}'; label the text"):
        parse("a:1", task(annotation({"type": kind, "value": value})))


TAXONOMY: dict[str, object] = {
    "id": "r1",
    "type": "taxonomy",
    "value": {"start": 4, "end": 8, "text": "hose", "taxonomy": [["Item", "Hose"]]},
}


def test_a_part_of_the_text_without_labels_is_refused_not_lost() -> None:
    other = result(0, 3, "Act") | {"id": "r2"}
    message = r'"labels" for each part of the text at annotations\[0\].result, got .*taxonomy'
    with pytest.raises(ValueError, match=message):
        parse("a:1", task(annotation(other, TAXONOMY)))


def test_a_part_with_labels_may_have_choices_beside_them() -> None:
    assert labels(annotation(TAXONOMY, result(4, 8, "Item") | {"id": "r1"})) == ["Item"]


def test_regions_of_what_else_a_task_shows_are_passed_over() -> None:
    run = {"start": 3, "end": 9, "timeserieslabels": ["Run"]}
    other = {"id": "r2", "to_name": "ts", "type": "timeserieslabels", "value": run}
    ours = result(4, 8, "Item") | {"to_name": "text"}
    assert labels(annotation(other, ours)) == ["Item"]


def test_a_quoted_text_may_differ_in_blanks() -> None:
    quoted = annotation(result(0, 8, "A", text="fix\\nhose"))
    record = parse("a:1", task(quoted, text="fix\nhose"))
    assert record is not None
    assert record.spans == (Span(0, 8, "A"),)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"text": "x", "label": []}, 'expected a task with "data" and "annotations"'),
        ({"data": {"text": "x"}}, 'expected a list under "annotations", got None; export as JSON'),
        (task({"was_cancelled": False}), r"expected a list at annotations\[0\]\.result, got None"),
        (
            task(annotation(result("/p[1]", 3, "A"))),
            r"expected whole numbers as start and end at annotations\[0\]\.result\[0\]\.value, got",
        ),
        (
            task(annotation(result(0, 3, ""))),
            r"expected a label of printable characters at annotations\[0\]\.result\[0\]\.value",
        ),
        (
            task(annotation({"value": {"start": 0, "end": 3, "labels": "A"}})),
            r"expected a list at annotations\[0\]\.result\[0\]\.value\.labels, got 'A'",
        ),
        (
            task(annotation(result(0, 3, "A"), result(3, 8, "A", text="horse"))),
            r"expected the text at start and end of annotations\[0\]\.result\[1\]\.value to be "
            r"'horse', as it says there, got ' hose'",
        ),
        (
            task(annotation(result(4, 9, "A", text="hoses"))),
            r"expected the text at start and end of annotations\[0\]\.result\[0\]\.value to be "
            r"'hoses', as it says there, got 'hose'",
        ),
    ],
)
def test_a_broken_task_is_refused_with_the_path_into_it(broken: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse("a:1", broken)


def test_tasks_are_written_as_label_studio_exports_them(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, [Example("fix hose", (Span(4, 8, "Item"),))], Writing())
    (found,) = json.loads(path.read_text())
    assert found["data"] == {"text": "fix hose"}
    (only,) = found["annotations"][0]["result"]
    assert only["value"] == {"start": 4, "end": 8, "text": "hose", "labels": ["Item"]}
    assert (only["from_name"], only["to_name"], only["type"]) == ("label", "text", "labels")


def test_predictions_are_no_annotations() -> None:
    found = prediction_task(Example("fix hose", (Span(4, 8, "Item"),)), model="m", score=0.5)
    assert "annotations" not in found
    (prediction,) = list(found["predictions"])
    assert (prediction["model_version"], prediction["score"]) == ("m", 0.5)
    assert prediction["result"][0]["value"]["labels"] == ["Item"]


def test_the_interface_has_the_names_that_tasks_go_by() -> None:
    root = ElementTree.fromstring(labelling_interface(['A"<&', "B"]))
    labels, text = root
    assert (labels.get("name"), labels.get("toName")) == ("label", "text")
    assert [label.get("value") for label in labels] == ['A"<&', "B"]
    assert (text.get("name"), text.get("value")) == ("text", "$text")


def test_of_several_texts_the_one_that_results_name_is_read() -> None:
    """Where the quotes fit both, labels would silently land on another text."""
    texts = {"text": "Pumpe 12 links", "order": "Pumpe defekt"}
    named = result(0, 5, "Item", text="Pumpe") | {"to_name": "order"}
    record = parse("a:1", task(annotation(named), **texts))
    assert record is not None
    assert (record.text, record.spans) == ("Pumpe defekt", (Span(0, 5, "Item"),))
    for other in (result(0, 5, "Item"), result(0, 5, "Item") | {"to_name": "t1"}):
        record = parse("a:1", task(annotation(other), **texts))
        assert record is not None
        assert record.text == "Pumpe 12 links"


def test_choices_on_another_text_do_not_count_and_labels_on_two_are_refused() -> None:
    texts = {"text": "Pumpe 12 links", "order": "Pumpe defekt"}
    named = result(0, 5, "Item") | {"to_name": "order"}
    choice = {"type": "choices", "to_name": "text", "value": {"choices": ["urgent"]}}
    record = parse("a:1", task(annotation(named, choice), **texts))
    assert record is not None
    assert record.text == "Pumpe defekt"
    other = result(0, 5, "Item") | {"to_name": "text"}
    with pytest.raises(ValueError, match="labels on one text of a task, got some on order and te"):
        parse("a:1", task(annotation(named, other), **texts))
