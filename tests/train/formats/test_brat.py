from pathlib import Path

import pytest

from serve.errors import DataError
from serve.examples import Example, Span
from train.formats.brat_writing import LINES_A_DOCUMENT, write
from train.formats.flat import Reading
from train.formats.registry import read_examples, read_records
from train.formats.words import Writing


def document(folder: Path, text: str, annotations: str, name: str = "doc") -> Path:
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(annotations.encode())
    return folder


def spans(path: Path) -> list[tuple[str, tuple[Span, ...]]]:
    return [(record.text, example.spans) for record, example in read_examples(path, Reading())]


def test_each_line_is_an_example_and_other_annotations_are_passed_over(tmp_path: Path) -> None:
    annotations = (
        "T1\tAct 0 3\tfix\nR1\tof Arg1:T1 Arg2:T2\nT2\tItem 13 18\tbelts\n#1\tNote T1\tsure\n"
        "E1\tAct:T1\nA1\tNegation E1\n*\tEquiv T1 T2\n"
    )
    folder = document(tmp_path, "fix hose\n\n   belts\n", annotations)
    assert spans(folder) == [
        ("fix hose", (Span(0, 3, "Act"),)),
        ("   belts", (Span(3, 8, "Item"),)),
    ]
    assert [record.place for record, _ in read_examples(folder, Reading())] == [
        f"{folder}/doc.txt:1",
        f"{folder}/doc.txt:3",
    ]


@pytest.mark.parametrize("name", ["doc.txt", "doc.ann"])
def test_a_document_is_read_by_the_name_of_either_file(tmp_path: Path, name: str) -> None:
    document(tmp_path, "fix", "T1\tAct 0 3\tfix\n")
    document(tmp_path, "other", "", "other")
    assert spans(tmp_path / name) == [("fix", (Span(0, 3, "Act"),))]


def test_documents_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        document(tmp_path, name, "", name)
    assert [text for text, _ in spans(tmp_path)] == ["a", "b", "c"]


def test_a_link_to_a_folder_is_told_as_it_is_not_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("data", "elsewhere"):
        (tmp_path / name).mkdir()
        document(tmp_path / name, "fix", "T1\tAct 0 3\tfix\n", name)
    (tmp_path / "data" / "more").symlink_to(tmp_path / "elsewhere")
    assert len(spans(tmp_path / "data")) == 1
    assert "data/more: expected a folder, got a link to one, which is not followed" in caplog.text


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "fix", "spans": []}')
    message = r"expected a folder with brat's \.ann files, got none; of a folder of splits name the"
    with pytest.raises(DataError, match=message):
        spans(tmp_path)


def test_folders_below_are_read_and_texts_without_annotations_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "train")
    (tmp_path / "below").mkdir()
    document(tmp_path / "below", "fix", "T1\tAct 0 3\tfix\n")
    (tmp_path / "new.txt").write_text("not yet annotated")
    assert [text for text, _ in spans(tmp_path)] == ["fix"]
    assert "1 texts without a .ann file left out" in caplog.text


@pytest.mark.parametrize(
    ("pieces", "quoted", "expected"),
    [
        ("0 4;5 9", "left and", [(0, 9)]),
        ("0 4;14 19", "left hoses", [(0, 4), (14, 19)]),
        ("14 19;0 4", "hoses left", [(0, 4), (14, 19)]),
        ("0 4;5 8;9 14", "left and right", [(0, 14)]),
        ("0 14;5 8", "left and right", [(0, 14)]),
    ],
)
def test_pieces_with_only_blanks_between_are_one_span_and_others_are_by_themselves(
    tmp_path: Path, pieces: str, quoted: str, expected: list[tuple[int, int]]
) -> None:
    text = "left and right hoses"
    found = " ".join(text[slice(*map(int, piece.split()))] for piece in pieces.split(";"))
    folder = document(tmp_path, text, f"T1\tItem {pieces}\t{found}\n")
    ((_, (*joined,)),) = spans(folder)
    assert [(span.start, span.end) for span in joined] == expected


def test_an_entity_over_two_lines_is_a_span_on_each(tmp_path: Path) -> None:
    folder = document(tmp_path, "oil\r\n  pump\r\n", "T1\tItem 0 3;7 11\toil pump\n")
    assert spans(folder) == [("oil", (Span(0, 3, "Item"),)), ("  pump", (Span(2, 6, "Item"),))]


def test_offsets_count_characters_and_line_ends_as_they_are(tmp_path: Path) -> None:
    folder = document(tmp_path, "🔧 é\r\nx hose\r\n", "T1\tItem 7 11\those\n")
    assert spans(folder)[1] == ("x hose", (Span(2, 6, "Item"),))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T1 Item 0 3", r"doc\.ann:2: expected T1<TAB>Type start end<TAB>text as an entity, got"),
        ("T1\tItem 0", r"doc\.ann:2: expected T1<TAB>Type"),
        ("T1\tItem 0 x\tfix", r"doc\.ann:2: expected T1<TAB>Type"),
        ("T1\tIt\x1bem 0 3\tfix", r"doc\.ann:2: expected T1<TAB>Type"),
        ("T1\tItem 0 99\tfix", r"doc\.ann:2: expected start < end <= 15, the text's length, got 0"),
        ("T1\tItem 3 3\t", r"doc\.ann:2: expected start < end"),
        ("T1\tItem 0 3\those", r"doc\.ann:2: expected the text 'hose' at 0 3, as it says there, g"),
        ("T1\tItem 0 12\tfix hose fix", r"doc\.ann:2: expected pieces that each lie within a line"),
    ],
)
def test_an_annotation_that_does_not_fit_is_named(tmp_path: Path, line: str, message: str) -> None:
    folder = document(tmp_path, "fix hose\nfix it\n"[:15], f"T9\tAct 0 3\tfix\n{line}\n")
    with pytest.raises(DataError, match=message):
        spans(folder)
    found = list(read_records(folder, Reading(format="brat")))
    assert [isinstance(row, DataError) for row in found] == [True, False, False], "and goes on"


def test_overlapping_entities_are_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = document(tmp_path, "oil pump", "T1\tItem 0 8\toil pump\nT2\tFluid 0 3\toil\n")
    with pytest.raises(DataError, match=r"doc\.txt:1: expected spans that do not overlap.*longest"):
        spans(folder)


def test_a_missing_text_and_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    document(tmp_path, "a\nb", "")
    (tmp_path / "doc.txt").write_bytes(b"a\n\xff")
    with pytest.raises(DataError, match=r"doc\.txt:2: expected UTF-8, got a byte that is not"):
        spans(tmp_path)
    (tmp_path / "doc.txt").unlink()
    with pytest.raises(DataError, match=r"doc\.txt: expected the text that doc\.ann is about, got"):
        spans(tmp_path)


def test_documents_of_bounded_length_and_their_types_are_written(tmp_path: Path) -> None:
    examples = [Example(f"fix {i}", (Span(0, 3, "Act"),)) for i in range(LINES_A_DOCUMENT + 1)]
    write(tmp_path / "out", [*examples, Example("a\r\nb", (Span(3, 4, "Item"),))], Writing())
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0001.ann", "0001.txt", "0002.ann", "0002.txt", "annotation.conf"]
    assert (tmp_path / "out" / "0002.txt").read_text() == "fix 100\na  b\n"
    assert (tmp_path / "out" / "0002.ann").read_text() == "T1\tAct 0 3\tfix\nT2\tItem 11 12\tb\n"
    assert (
        "[entities]\nAct\nItem\n\n[relations]" in (tmp_path / "out" / "annotation.conf").read_text()
    )


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(DataError, match="expected a new or empty folder, got something there"):
        write(tmp_path, [Example("a", ())], Writing())
    with pytest.raises(DataError, match="expected a new or empty folder"):
        write(tmp_path / "mine", [Example("a", ())], Writing())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_label_with_a_comma_is_to_be_renamed_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rename it with a file of lines Old=New, --label-map F"):
        write(tmp_path / "out", [Example("x", (Span(0, 1, "A,B"),))], Writing())


def test_a_label_that_brat_would_rename_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"for brat, got 'A/B'; rename it with --label-map A/B="):
        write(tmp_path / "out", [Example("a", (Span(0, 1, "A/B"),))], Writing())
    with pytest.raises(ValueError, match=r"got 'Bau teil'; .* --label-map 'Bau teil=New'$"):
        write(tmp_path / "out", [Example("a", (Span(0, 1, "Bau teil"),))], Writing())
    assert list(tmp_path.iterdir()) == []
