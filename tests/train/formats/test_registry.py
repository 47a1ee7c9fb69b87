import json
from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span
from train.formats.flat import Reading
from train.formats.registry import FORMATS, detect, read_examples, write_examples
from train.formats.words import Writing

SPANS = [Example("fix hose", (Span(0, 3, "Act"), Span(4, 8, "Item")))]


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_each_format_is_found_out_by_its_content(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    path = tmp_path / "lines"
    write_examples(path, name, [("a:1", SPANS[0])], Writing())
    assert detect(path) == name
    assert [example for _, example in read_examples(path, Reading())] == SPANS
    assert f"{path}: format {name}" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("a.conll", '{"text": "a", "spans": []}', "conll"),
        ("a.TSV", "[]", "conll"),
        ("a.txt", '{"text": "a", "spans": []}', "jsonl"),
        ("a.txt", "[ O\n", "conll"),
        ("a.txt", "[1] O\n", "conll"),
        ("a.txt", "{ O\n", "conll"),
        ("a.txt", "", "conll"),
        ("a.json", "", "jsonl"),
        ("a.json", "hose B-Item", "jsonl"),
        ("a.json", '{"text": "a"}', "jsonl"),
        ("a.json", '{"text": "a", "spans": [], "label": "kind"}', "jsonl"),
        ("a.json", '[{"data": {"text": "a"}, "predictions": []}]', "label-studio"),
        ("a.annotated", "\ufeffa\tO\n", "conll"),
        ("none.txt", None, "conll"),
    ],
)
def test_the_name_decides_where_it_says_enough_else_the_content(
    tmp_path: Path, file: str, content: str | None, name: str
) -> None:
    if content is not None:
        (tmp_path / file).write_text(content, encoding="utf-8")
    assert detect(tmp_path / file) == name


def test_a_text_with_annotations_beside_it_is_brats(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a O\n")
    assert detect(tmp_path / "a.txt") == "conll"
    (tmp_path / "a.ann").touch()
    assert detect(tmp_path / "a.txt") == "brat"


def test_a_named_format_is_taken_at_its_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    path = tmp_path / "a.json"
    path.write_text("hose B-Item\n")
    ((_, example),) = read_examples(path, Reading(format="conll"))
    assert example == Example("hose", (Span(0, 4, "Item"),))
    assert ": format " not in caplog.text


def test_how_many_were_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "train")
    path = tmp_path / "a.jsonl"
    row = {"text": "a", "spans": []}
    rows = [row | {"answer": answer} for answer in ("accept", "reject")]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert len(list(read_examples(path, Reading()))) == 1
    assert f"{path}: 1 left out that their annotators did not finish" in caplog.text


def test_what_a_format_cannot_hold_is_told_by_its_place(tmp_path: Path) -> None:
    placed = [("in:1", SPANS[0]), ("in:2", Example("pumps", (Span(0, 4, "A"),)))]
    for name in ("conll", "maintie"):
        with pytest.raises(DataError, match="in:2: expected spans that begin and end with a word"):
            write_examples(tmp_path / "out", name, placed, Writing())
    assert list(tmp_path.iterdir()) == [], "nothing half written is left"
