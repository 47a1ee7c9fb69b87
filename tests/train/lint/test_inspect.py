import json
from collections import Counter
from pathlib import Path

import pytest

from train.formats.flat import Overlaps, Reading
from train.formats.words import Words
from train.lint.as_json import inspection_json
from train.lint.figures import binned
from train.lint.finding import MEANING, Finding, Rule, Severity
from train.lint.inspect import Inspection, inspect
from train.lint.page import inspection_page
from train.lint.text import inspection_text


def lint(
    folder: Path, *, label_map: dict[str, str] | None = None, overlaps: Overlaps | None = None,
    words: Words = Words.PUNCTUATION, **parts: str | list[tuple[str, list[list[object]]]],
) -> Inspection:  # fmt: skip
    paths = {}
    for part, content in parts.items():
        paths[part] = folder / part
        if not isinstance(content, str):
            rows = [json.dumps({"text": text, "label": spans}) for text, spans in content]
            content = "\n".join(rows)
        paths[part].write_text(content, encoding="utf-8")
    pairs = tuple((label_map or {}).items())
    return inspect(paths, Reading(overlaps=overlaps, label_map=pairs), words)


def rules(found: Inspection) -> list[Rule]:
    few = (Rule.RARE, Rule.BARE)
    return [finding.rule for finding in found.findings if finding.rule not in few]


def only(found: Inspection, rule: Rule) -> Finding:
    (finding,) = (finding for finding in found.findings if finding.rule is rule)
    return finding


def test_a_clean_corpus_has_no_findings(tmp_path: Path) -> None:
    clean = [(f"fix hose {i}", [[0, 3, "Act"], [4, 8, "Item"]]) for i in range(20)]
    found = lint(tmp_path, train=clean, dev=[("fix it", [[0, 3, "Act"]])])
    assert found.findings == ()
    assert found.num(Severity.ERROR) == found.num(Severity.WARNING) == 0


@pytest.mark.parametrize(
    ("text", "spans", "rule", "message"),
    [
        (
            "hose",
            [[0, 9, "A"]],
            Rule.OUTSIDE,
            "expected 0 <= start < end <= 4, got start 0 and end",
        ),
        ("hose", [[2, 2, "A"]], Rule.OUTSIDE, "got start 2 and end 2 for A"),
        ("hose", [[-1, 2, "A"]], Rule.OUTSIDE, "got start -1"),
        ("oil pump", [[0, 8, "A"], [0, 3, "B"]], Rule.OVERLAP, "'oil pump' for A overlaps 'oil' f"),
        ("oil pump", [[0, 4, "A"]], Rule.BLANK, "'oil ' for A"),
        ("oil pump", [[3, 8, "A"]], Rule.BLANK, "' pump' for A"),
        ("old pumps here", [[4, 8, "A"]], Rule.BORDER, "'pump' for A in 'old pumps here'"),
        ("x" * 20_001, [], Rule.TEXT, "expected at most 20000 characters, got 20001"),
        ("a\ud800", [], Rule.TEXT, "expected valid Unicode, got a lone surrogate at 1"),
    ],
)
def test_what_is_wrong_with_a_line_is_an_error_at_its_place(
    tmp_path: Path, text: str, spans: list[list[object]], rule: Rule, message: str
) -> None:
    found = lint(tmp_path, train=[("fine", []), (text, spans)])
    assert rules(found) == [rule]
    finding = only(found, rule)
    assert (finding.place, finding.severity) == (f"{tmp_path}/train:2", Severity.ERROR)
    assert message in finding.message


def test_overlaps_are_a_warning_where_the_longest_is_to_stay(tmp_path: Path) -> None:
    nested = [("oil pump", [[0, 8, "A"], [0, 3, "B"]])]
    found = lint(tmp_path, train=nested, overlaps=Overlaps.LONGEST)
    assert only(found, Rule.OVERLAP).severity is Severity.WARNING


def test_each_span_under_a_long_one_is_told_once(tmp_path: Path) -> None:
    spans: list[list[object]] = [[0, 9, "A"], [0, 1, "B"], [2, 3, "B"], [4, 5, "B"]]
    found = lint(tmp_path, train=[("a b c d e", spans)])
    assert rules(found) == [Rule.OVERLAP] * 3


def test_words_end_where_they_are_said_to(tmp_path: Path) -> None:
    lines: list[tuple[str, list[list[object]]]] = [("oil-pump.", [[4, 8, "A"]])]
    assert rules(lint(tmp_path, train=lines)) == []
    assert rules(lint(tmp_path, train=lines, words=Words.BLANKS)) == [Rule.BORDER]


def test_broken_lines_are_told_and_those_after_them_read(tmp_path: Path) -> None:
    content = '{"text": "a"}\nno json\n{"text": "hose", "spans": [[0, 9, "A"]]}\n'
    (tmp_path / "x.jsonl").write_text(content)
    found = inspect({"x": tmp_path / "x.jsonl"}, Reading(), Words.PUNCTUATION)
    assert rules(found) == [Rule.UNREADABLE, Rule.UNREADABLE, Rule.OUTSIDE]
    assert [f.place.rpartition(":")[2] for f in found.findings] == ["1", "2", "3"]


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: str) -> None:
    finding = only(lint(tmp_path, train=content), Rule.UNREADABLE)
    assert (finding.place, finding.message) == (
        f"{tmp_path}/train",
        "expected labelled lines, got none",
    )


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    found = inspect({"train": tmp_path / "none"}, Reading(), Words.PUNCTUATION)
    assert "expected a readable file" in only(found, Rule.UNREADABLE).message


def test_what_was_found_before_a_file_breaks_off_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "hose", "spans": [[0, 9, "A"]]}, {"text": ')
    found = inspect({"train": path}, Reading(), Words.PUNCTUATION)
    assert rules(found) == [Rule.OUTSIDE, Rule.UNREADABLE]


def test_tags_that_break_the_scheme_are_told_by_line(tmp_path: Path) -> None:
    found = lint(tmp_path, train="a B-A\nb I-A\n\nc O\nd I-A\n")
    finding = only(found, Rule.SCHEME)
    assert finding.place == f"{tmp_path}/train:5"
    assert finding.message == "I-A continues nothing, O stands before it (IOB2)"


def test_labels_that_train_has_not_are_told_where_they_first_stand(tmp_path: Path) -> None:
    train: list[tuple[str, list[list[object]]]] = [("a", [[0, 1, "A"]])]
    dev: list[tuple[str, list[list[object]]]] = [(f"b {i}", [[0, 1, "New"]]) for i in range(3)]
    finding = only(lint(tmp_path, train=train, dev=dev), Rule.UNKNOWN)
    assert finding.place == f"{tmp_path}/dev:1"
    assert "train has, got New" in finding.message
    assert Rule.UNKNOWN not in rules(lint(tmp_path, train=train, dev=dev, label_map={"New": "A"}))
    assert Rule.UNKNOWN not in rules(lint(tmp_path, train=train, dev=dev, label_map={"New": ""}))


def test_train_and_dev_without_a_span_are_errors_as_training_refuses_them(tmp_path: Path) -> None:
    bare: list[tuple[str, list[list[object]]]] = [("a", [])]
    some: list[tuple[str, list[list[object]]]] = [("b", [[0, 1, "A"]])]
    finding = only(lint(tmp_path, train=bare), Rule.BARE)
    assert (finding.place, finding.severity) == (f"{tmp_path}/train", Severity.ERROR)
    assert finding.message == "expected labelled spans in train, got none"
    assert only(lint(tmp_path, train=some, dev=bare), Rule.BARE).place == f"{tmp_path}/dev"
    only(lint(tmp_path, train=some, label_map={"A": ""}), Rule.BARE)
    assert Rule.BARE not in {f.rule for f in lint(tmp_path, train=some, test=bare).findings}


def test_a_label_of_a_text_that_is_too_long_is_there_all_the_same(tmp_path: Path) -> None:
    long: list[tuple[str, list[list[object]]]] = [("hose " * 5_000, [[0, 4, "Item"]])]
    found = lint(tmp_path, train=long, dev=[("hose", [[0, 4, "Item"]])])
    assert {f.rule for f in found.findings} == {Rule.TEXT, Rule.RARE}


def test_rare_labels_are_a_warning(tmp_path: Path) -> None:
    lines: list[tuple[str, list[list[object]]]] = [(f"a {i}", [[0, 1, "A"]]) for i in range(20)]
    found = lint(tmp_path, train=[*lines, ("b", [[0, 1, "B"]])])
    finding = only(found, Rule.RARE)
    assert (finding.message, finding.severity) == (
        "expected 20 spans of B or more, got 1",
        Severity.WARNING,
    )


def test_texts_that_two_parts_have_are_a_warning(tmp_path: Path) -> None:
    spans: list[list[object]] = [[0, 3, "A"]]
    found = lint(tmp_path, train=[("fix hose", spans)], test=[("Fix  Hose", spans), ("b", [])])
    finding = only(found, Rule.LEAK)
    assert (finding.place, finding.severity) == (f"{tmp_path}/test:1", Severity.WARNING)
    assert finding.message == f"'Fix  Hose' is at {tmp_path}/train:1 too"


def test_the_same_text_with_other_labels_is_a_warning(tmp_path: Path) -> None:
    lines: list[tuple[str, list[list[object]]]] = [
        ("oil pump", [[0, 8, "A"]]),
        ("OIL PUMP", [[0, 8, "A"]]),
        ("oil pump", [[0, 3, "B"]]),
        ("oil pump", []),
    ]
    found = lint(tmp_path, train=lines)
    messages = [f.message for f in found.findings if f.rule is Rule.CONFLICT]
    place = f"'oil pump' is at {tmp_path}/train:1 too: "
    assert messages == [
        f"{place}'oil' is B here only, 'oil pump' is A there only",
        f"{place}'oil pump' is A there only",
    ]


def test_labels_that_differ_are_shown_as_they_are_written(tmp_path: Path) -> None:
    lines: list[tuple[str, list[list[object]]]] = [
        ("Pumpe außer Betrieb", [[6, 19, "Fault"]]),
        ("PUMPE außer Betrieb", []),
    ]
    found = only(lint(tmp_path, train=lines), Rule.CONFLICT)
    assert found.message.endswith(": 'außer Betrieb' is Fault there only")


def test_spans_that_nothing_visible_parts_are_an_error(tmp_path: Path) -> None:
    found = lint(tmp_path, train=[("hose\x85leaks", [[0, 4, "A"]])])
    assert only(found, Rule.BORDER).message == r"'hose' for A in 'hose\x85leaks'"


def test_the_same_labels_on_other_words_of_a_text_are_a_conflict(tmp_path: Path) -> None:
    lines: list[tuple[str, list[list[object]]]] = [
        ("on on off", [[0, 2, "A"], [6, 9, "B"]]),
        ("on on off", [[0, 2, "A"], [3, 5, "A"], [6, 9, "B"]]),
        ("off on off", [[0, 3, "A"], [4, 6, "B"]]),
        ("off on off", [[4, 6, "B"], [7, 10, "A"]]),
    ]
    messages = [f.message for f in lint(tmp_path, train=lines).findings if f.rule is Rule.CONFLICT]
    assert "'on' is A here only" in messages[0]
    assert "the same labels on other words" in messages[1]


def test_what_files_hold_is_counted(tmp_path: Path) -> None:
    lines: list[tuple[str, list[list[object]]]] = [
        ("oil-pump", [[0, 8, "A"]]),
        ("a b", []),
        ("a b", []),
        ("", []),
    ]
    (figures,) = lint(tmp_path, train=lines).files
    assert (figures.part, figures.format) == ("train", "doccano")
    assert (figures.num_lines, figures.num_words) == (4, 7)
    assert (figures.num_bare, figures.num_repeated) == (3, 1)
    assert figures.lengths == {3: 1, 2: 2, 0: 1}


def test_lengths_are_binned_without_gaps() -> None:
    assert binned(Counter({0: 1, 1: 2, 9: 3, 10: 1})) == {
        "0": 1, "1": 2, "2": 0, "3-4": 0, "5-8": 0, "9-16": 4,
    }  # fmt: skip
    assert binned(Counter({4: 1})) == {"1": 0, "2": 0, "3-4": 1}
    assert binned(Counter()) == {}


@pytest.fixture
def broken(tmp_path: Path) -> Inspection:
    long: list[tuple[str, list[list[object]]]] = [(f"hoses {i}", [[0, 4, "<b>"]]) for i in range(9)]
    return lint(tmp_path, train=long, dev=[("\x1b[31m x", [[9, 1, "<b>"]])])


def test_the_text_shows_the_first_findings_of_each_rule_errors_first(broken: Inspection) -> None:
    text = inspection_text(broken)
    border, rare = text.index(f"border: 9 errors: {MEANING[Rule.BORDER]}"), text.index("rare: 1 wa")
    assert border < rare
    assert text.count("'hose' for <b>") == 5
    assert "... and 4 more" in text
    assert text.endswith("10 errors, 1 warning")
    assert "\x1b" not in text
    assert f"  {'#' * 40}" in text, "the histogram's longest bar"


def test_the_page_stands_alone_and_escapes_what_it_shows(broken: Inspection) -> None:
    html = inspection_page(broken)
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<p>10 errors, 1 warning</p>" in html
    assert "\x1b" not in html
    assert "http" not in html
    assert "<script" not in html
    assert html.count("&#x27;hose&#x27; for") == 9


def test_a_text_whose_annotations_differ_is_a_conflict(tmp_path: Path) -> None:
    some = {"result": [{"value": {"start": 0, "end": 3, "labels": ["Act"]}}]}
    task = {"data": {"text": "fix"}, "annotations": [some, {"result": []}]}
    found = lint(tmp_path, test=json.dumps([task]))
    conflict = only(found, Rule.CONFLICT)
    assert conflict.message == "'fix' has finished annotations that differ; one is taken"
    assert (conflict.place, conflict.severity) == (f"{tmp_path / 'test'}:$[0]", Severity.WARNING)
    assert inspection_text(found).endswith("0 errors, 1 warning")


def test_the_json_has_every_finding(broken: Inspection) -> None:
    found = json.loads(json.dumps(inspection_json(broken)))
    assert (found["num_errors"], found["num_warnings"]) == (10, 1)
    assert [f["rule"] for f in found["findings"]].count("border") == 9
    assert found["findings"][0]["severity"] == "error"
    assert found["files"][0]["num_spans"] == 9
    assert found["files"][0]["labels"] == {"<b>": 9}


def test_every_rule_has_a_meaning() -> None:
    assert set(MEANING) == set(Rule)
