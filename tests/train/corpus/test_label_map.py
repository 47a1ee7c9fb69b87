from pathlib import Path

import pytest

from train.corpus.label_map import parse_label_map


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ()),
        (" A = B , C= ,", (("A", "B"), ("C", ""))),
        ("A b=c", (("A b", "c"),)),
        ("x=y=c", (("x=y", "c"),)),
    ],
)
def test_a_map_is_parsed(text: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert parse_label_map(text) == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A", "expected Old=New or Old=, apart by commas, or the name of a file, got 'A'"),
        ("=B", "got '=B'"),
        ("A=B,A=", "expected each label once before the =, got 'A' twice"),
        ("A=\udcff", r"expected a label of printable characters, got '\\udcff'"),
    ],
)
def test_a_broken_map_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_label_map(text)


def test_a_map_is_read_from_a_file_with_notes_and_commas(tmp_path: Path) -> None:
    path = tmp_path / "labels.map"
    path.write_text("# merged\n\n  Old, too = New \r\nDrop=\n", encoding="utf-8")
    assert parse_label_map(str(path)) == (("Old, too", "New"), ("Drop", ""))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A=B\nC\n", r"labels\.map:2: expected Old=New or Old=, got 'C'"),
        (b"A=B\n\nA=\n", r"labels\.map:3: expected each label once before the =, got 'A' twice"),
        (b"A=\x1b\n", r"labels\.map:1: expected a label of printable characters, got '\\x1b'"),
        (b"A=B\n\xff=\n", r"labels\.map:2: expected UTF-8"),
    ],
)
def test_a_broken_file_is_refused_by_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels.map"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        parse_label_map(str(path))


def test_a_file_that_is_not_there_is_taken_for_a_map() -> None:
    with pytest.raises(ValueError, match=r"apart by commas, or the name of a file, got 'no\.map'"):
        parse_label_map("no.map")
