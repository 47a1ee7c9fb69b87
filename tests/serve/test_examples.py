"""Tests the labelled line and its JSON-lines form."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span, numbered_jsonl, read_jsonl, write_jsonl


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    examples = [
        Example("fix hose", (Span(0, 3, "Activity"), Span(4, 8, "Item"))),
        Example("e\u0301tat 🔧", ()),
        Example("", ()),
    ]
    path = tmp_path / "train.jsonl"
    write_jsonl(path, examples)
    assert read_jsonl(path) == examples
    assert [file.name for file in tmp_path.iterdir()] == ["train.jsonl"]


def test_doccanos_form_is_read_and_spans_are_sorted(tmp_path: Path) -> None:
    path = tmp_path / "doccano.jsonl"
    path.write_text('{"text": "fix hose", "label": [[4, 8, "Item"], [0, 3, "Activity"]]}\n')
    assert read_jsonl(path) == [Example("fix hose", (Span(0, 3, "Activity"), Span(4, 8, "Item")))]


def test_a_byte_order_mark_and_empty_lines_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"text": "a", "spans": []}\r\n\n{"text": "b", "spans": []}\n')
    assert list(numbered_jsonl(path)) == [(1, Example("a", ())), (3, Example("b", ()))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a\.jsonl:2: "),
        ("[" * 200_000, r"a\.jsonl:2: maximum recursion depth exceeded"),
        ("[1]", r'a\.jsonl:2: expected an object with a "text", got \[1\]'),
        ('["Öl-Filter 油 \x9b"]', r"expected an object with a .*, got \['Öl-Filter 油 \\x9b'\]"),
        ('{"text": "é", "spans": [["é"]]}', r"expected a span with .*, got \['é'\]"),
        ('{"text": 1, "spans": []}', 'expected an object with a "text"'),
        ('{"text": "a"}', 'expected a list under "spans"'),
        ('{"text": "a", "spans": [[0, 1]]}', r"expected a span with start, end and label, got \["),
        ('{"text": "a", "spans": [[0, 1, ""]]}', "expected a span with start, end and label"),
        ('{"text": "a", "spans": [[0, true, "A"]]}', r"expected a span .*, got \[0, True, 'A'\]"),
        (
            '{"text": "a", "spans": [{"start": false, "end": 1, "label": "A"}]}',
            "expected a span with start, end and label, got {'start': False",
        ),
        (
            r'{"text": "a", "spans": [[0, 1, "x\u001b[2J"]]}',
            r"a\.jsonl:2: expected a label of printable characters, .*got 'x\\x1b\[2J'",
        ),
        (
            r'{"text": "a", "spans": [{"start": 0, "end": 1, "label": "\ud800"}]}',
            r"a\.jsonl:2: expected a label of printable characters, .*got '\\ud800'",
        ),
        ('{"text": "a", "spans": [[0, 2, "x"]]}', "expected 0 <= start < end <= 1"),
        ('{"text": "a", "spans": [[1, 1, "x"]]}', "got start 1 and end 1 for 'x'"),
        ('{"text": "a", "spans": [[-1, 1, "x"]]}', "got start -1"),
        (
            '{"text": "abc", "spans": [[0, 2, "x"], [1, 3, "y"]]}',
            "expected spans that do not overlap, got 'y' starting at 1 before the last one's end",
        ),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine", "spans": []}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        read_jsonl(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [Example("old", ())])
    with pytest.raises(UnicodeEncodeError):
        write_jsonl(path, [Example("new", ()), Example("\ud800", ())])
    assert read_jsonl(path) == [Example("old", ())]
