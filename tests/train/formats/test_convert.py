import json
from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span, read_jsonl, write_jsonl
from train.formats.convert import convert
from train.formats.flat import Overlaps, Reading
from train.formats.schemes import Scheme
from train.formats.words import Words, Writing

LINES = [Example("fix hose", (Span(0, 3, "Act"), Span(4, 8, "Item"))), Example(" ", ())]


def converted(sources: list[Path], target: Path, name: str, **choices: object) -> None:
    choices = {"reading": Reading(), "writing": Writing()} | choices
    convert(sources, target, name, **choices)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    write_jsonl(path, LINES)
    return path


def test_several_files_become_one_and_labels_are_mapped(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "in.conll"
    other.write_text("leak B-Obs\n")
    target = tmp_path / "out.jsonl"
    converted(
        [source, other], target, "jsonl", reading=Reading(label_map=(("Act", ""), ("Obs", "Item")))
    )
    assert read_jsonl(target) == [
        Example("fix hose", (Span(4, 8, "Item"),)),
        Example(" ", ()),
        Example("leak", (Span(0, 4, "Item"),)),
    ]


def test_what_became_of_the_lines_is_said(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    target = tmp_path / "out.conll"
    write_jsonl(source, [*LINES, Example("hoses", (Span(0, 4, "Item"),))])
    converted([source], target, "conll", writing=Writing(widen=True))
    assert f"{target}: 2 lines, 3 spans" in caplog.text
    assert f"warning: {target}: 1 lines without words left out" in caplog.text
    assert f"warning: {target}: 1 spans widened to whole words" in caplog.text
    assert target.read_text() == "fix\tB-Act\nhose\tB-Item\n\nhoses\tB-Item\n\n"


def test_spans_that_are_dropped_for_a_longer_one_are_counted_and_the_first_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    source = tmp_path / "nested.jsonl"
    seal = '{"text": "seal", "spans": []}'
    pump = (
        '{"text": "oil pump", "spans": [{"start": 0, "end": 8, "label": "Item"}, '
        '{"start": 0, "end": 8, "label": "Item"}, {"start": 0, "end": 3, "label": "Fluid"}, '
        '{"start": 4, "end": 8, "label": "Item"}]}'
    )
    source.write_text("\n".join([seal, pump, pump, seal]))
    target = tmp_path / "out.jsonl"
    converted([source], target, "jsonl", reading=Reading(overlaps=Overlaps.LONGEST))
    assert f"{target}: 4 lines, 2 spans" in caplog.text
    (line,) = [record.message for record in caplog.records if "spans dropped" in record.message]
    assert line == (
        f"warning: {source}: spans dropped that overlap a longer one: 4, the first at {source}:2"
    ), "what is there twice is one"


@pytest.mark.parametrize("name", ["conll", "maintie"])
def test_spans_that_share_a_word_are_not_lost_without_a_word(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level("INFO", "train")
    target = tmp_path / f"out.{name}"
    write_jsonl(source, [Example("fixhose", (Span(0, 3, "Act"), Span(3, 7, "Item")))])
    converted([source], target, name, writing=Writing(widen=True))
    assert f"{target}: 1 lines, 1 spans" in caplog.text
    assert f"warning: {target}: 1 spans left out that have no word to themselves" in caplog.text


def test_spans_that_io_makes_one_are_counted_as_one_and_said(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    target = tmp_path / "out.conll"
    spans = (Span(0, 4, "Item"), Span(5, 9, "Item"), Span(10, 13, "Act"))
    write_jsonl(source, [Example("belt pump fix", spans)])
    converted([source], target, "conll", writing=Writing(scheme=Scheme.IO))
    assert f"{target}: 1 lines, 2 spans" in caplog.text
    assert f"warning: {target}: 1 spans made one with the span before" in caplog.text
    assert target.read_text() == "belt\tI-Item\npump\tI-Item\nfix\tI-Act\n\n"


def test_a_format_that_holds_blank_lines_keeps_them_in_silence(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    converted([source], tmp_path / "out.json", "label-studio")
    assert "left out" not in caplog.text


def test_a_label_to_map_that_does_not_occur_is_refused_and_nothing_written(
    source: Path, tmp_path: Path
) -> None:
    typo = Reading(label_map=(("Typo", "A"),))
    for name in ("jsonl", "brat", "maintie"):
        with pytest.raises(DataError, match=r"expected a label of the data \(Act, Item\), got 'Ty"):
            converted([source], tmp_path / "out", name, reading=typo)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_another_file_in_the_place_is_not_lost(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    write_jsonl(target, [Example("theirs", ())])
    with pytest.raises(DataError, match=r"out\.jsonl: expected a new file, or one of those that"):
        converted([source], target, "jsonl")
    assert read_jsonl(target) == [Example("theirs", ())]


def test_texts_that_an_earlier_file_has_are_counted(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "corrected.jsonl"
    write_jsonl(other, [LINES[0], LINES[0], Example("leak", ())])
    converted([source, other], tmp_path / "out.jsonl", "jsonl")
    message = f"warning: {other}: 2 lines have a text that a file before it has; both stay"
    assert [line for line in caplog.messages if "before" in line] == [message]


def test_no_lines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").touch()
    with pytest.raises(DataError, match=r"in\.jsonl: expected labelled lines, got none"):
        converted([tmp_path / "in.jsonl"], tmp_path / "out.conll", "conll")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hoses", r"in\.jsonl:1: expected spans that begin and end with a word, got 'hose'"),
        ("hose -DOCSTART-", r"in\.jsonl:1: expected no word -DOCSTART-, which parts documents"),
    ],
)
def test_what_conll_cannot_hold_is_refused_by_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    write_jsonl(tmp_path / "in.jsonl", [Example(text, (Span(0, 4, "Item"),))])
    with pytest.raises(DataError, match=message):
        converted([tmp_path / "in.jsonl"], tmp_path / "out.conll", "conll")


def test_a_first_word_like_a_byte_order_mark_comes_back(tmp_path: Path) -> None:
    lines = [Example("\ufeffa b", (Span(0, 2, "A"),)), Example("\ufeffc", ())]
    write_jsonl(tmp_path / "in.jsonl", lines)
    converted([tmp_path / "in.jsonl"], tmp_path / "there.conll", "conll")
    converted([tmp_path / "there.conll"], tmp_path / "back.jsonl", "jsonl")
    assert read_jsonl(tmp_path / "back.jsonl") == lines


def test_a_file_may_be_converted_onto_itself(source: Path) -> None:
    converted([source], source, "doccano")
    assert source.read_text().startswith('{"text": "fix hose", "label": [[0, 3, "Act"]')


def test_spans_of_characters_are_widened_where_that_is_asked_for(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What training says of such spans, that they cannot be found, this mends."""
    caplog.set_level("INFO", "train")
    target = tmp_path / "out.jsonl"
    lines = [Example("fix hoses.", (Span(3, 8, "Item"),)), Example(" ", ())]
    write_jsonl(source, lines)
    converted([source], target, "jsonl")
    assert read_jsonl(target) == lines, "as they are, else"
    target.unlink()
    writing = Writing(words=Words.PUNCTUATION, widen=True)
    converted([source], target, "jsonl", writing=writing)
    assert read_jsonl(target) == [Example("fix hoses.", (Span(4, 9, "Item"),)), Example(" ", ())]
    assert f"warning: {target}: 1 spans widened to whole words" in caplog.text


def test_texts_whose_annotations_differ_are_counted_and_the_first_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    value = {"start": 0, "end": 3, "text": "fix", "labels": ["Act"]}
    some = {"result": [{"type": "labels", "value": value}]}
    tasks = [{"data": {"text": "fix"}, "annotations": a} for a in ([some], [some, {"result": []}])]
    source = tmp_path / "in.json"
    source.write_text(json.dumps(tasks))
    converted([source], tmp_path / "out.jsonl", "jsonl")
    (told,) = [line for line in caplog.messages if "differ" in line]
    assert told.startswith(
        f"warning: {source}: texts with finished annotations that differ: 1, the first at "
        f"{source}:$[1]; one of each is taken"
    )
    assert len(read_jsonl(tmp_path / "out.jsonl")) == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", '[{"data": {"text": "fix", "machine": 7}, "annotations": [{"result": []}]}]',
         "data.machine"),
        ("a.json", '[{"data": {"text": "fix"}, "annotations": [{"result": []}]}]', ""),
        ("a.conll", "-DOCSTART- O\n\nfix B-Act\n", "document"),
        ("a.conll", "fix B-Act\n", ""),
        ("a.ann", "T1\tAct 0 3\tfix\n", "document"),
    ],
)  # fmt: skip
def test_metadata_of_tasks_and_documents_is_named_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: str, expected: str
) -> None:
    (tmp_path / "a.txt").write_text("fix\n")
    (tmp_path / name).write_text(content)
    converted([tmp_path / name], tmp_path / "out.jsonl", "jsonl")
    told = [line.rpartition(": ")[2] for line in caplog.messages if "fields left out" in line]
    assert told == ([expected] if expected else [])


def test_fields_that_are_not_written_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"text": "fix", "spans": [], "_input_hash": 1, "answer": "accept"},
        {"text": "leak", "spans": [], "meta": {"machine": 7}, "time": "2024-05-31"},
    ]
    source.write_text("\n".join(map(json.dumps, rows)))
    converted([source], target, "jsonl")
    (told,) = [line for line in caplog.messages if "fields left out" in line]
    assert told == (
        f"warning: {target}: fields left out, as only texts and labels are written: meta, time"
    )
    caplog.clear()
    target.unlink()
    source.write_text(json.dumps(rows[0]))
    converted([source], target, "jsonl")
    assert not any("fields left out" in line for line in caplog.messages)
