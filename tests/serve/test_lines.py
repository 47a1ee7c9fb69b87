"""Tests reading lines to tag."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from threading import Timer

import pytest

from serve.errors import DataError
from serve.limits import MAX_CHARS
from serve.lines import CHUNK_CHARS, CHUNK_LINES, read_chunks


def lines_of(tmp_path: Path, content: bytes) -> list[str]:
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    return [line for chunk in read_chunks([str(path)]) for line in chunk]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\r\n\r\nb \r\n", ["a", "", "b "]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", ["a", "\ufeffb"]),
        ("é🔧\x85\u2028x\n".encode(), ["é🔧\x85\u2028x"]),
    ],
)
def test_only_lf_and_crlf_end_a_line(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    assert lines_of(tmp_path, content) == expected


def test_files_follow_each_other_and_a_dash_is_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("1\n2")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"3\n")))
    assert list(read_chunks([str(tmp_path / "a"), "-"])) == [["1", "2", "3"]]


def test_lines_of_a_pipe_come_as_soon_as_they_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    out, into = os.pipe()
    with open(out, encoding="utf-8") as stdin, open(into, "wb", buffering=0) as producer:
        monkeypatch.setattr(sys, "stdin", stdin)
        slow = Timer(10.0, producer.close)  # lines that are held back come too late, not never
        slow.start()
        chunks = read_chunks(["-"])
        for written, expected in [(b"a\nb\nc", ["a", "b"]), (b"d\n", ["cd"]), (b"\r\n", [""])]:
            producer.write(written)
            assert next(chunks) == expected
        slow.cancel()
        producer.write(b"last")
        producer.close()
        assert list(chunks) == [["last"]]


def test_chunks_are_bounded_in_lines_and_in_characters(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_text("x\n" * (2 * CHUNK_LINES + 1))
    assert [len(chunk) for chunk in read_chunks([str(path)])] == [CHUNK_LINES, CHUNK_LINES, 1]
    path.write_text(("y" * MAX_CHARS + "\n") * 9)
    sizes = [sum(map(len, chunk)) for chunk in read_chunks([str(path)])]
    assert max(sizes) < CHUNK_CHARS + MAX_CHARS
    assert sum(sizes) == 9 * MAX_CHARS


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"\xff", "lines.txt:3: expected UTF-8, got byte 0 that is not"),
        (b"ab\xc3", "lines.txt:3: expected UTF-8, got byte 2 that is not"),
        (b"\xed\xa0\x80", "lines.txt:3: expected UTF-8"),
        (b"x" * (MAX_CHARS + 1), f"lines.txt:3: .*{MAX_CHARS} characters, got {MAX_CHARS + 1}"),
        (b"x" * (5 * MAX_CHARS), "lines.txt:3: .*got 80005 bytes or more; split the line"),
    ],
)
def test_a_bad_line_is_named_after_the_lines_before_it(
    tmp_path: Path, bad: bytes, message: str
) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a\nb\n" + bad + b"\nc\n")
    chunks = read_chunks([str(path)])
    assert next(chunks) == ["a", "b"]
    with pytest.raises(DataError, match=message):
        next(chunks)


def test_the_longest_line_allowed_is_read(tmp_path: Path) -> None:
    longest = "🔧" * MAX_CHARS
    assert lines_of(tmp_path, b"\xef\xbb\xbf" + longest.encode() + b"\r\n") == [longest]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: expected a readable file, got No such file"):
        list(read_chunks([str(tmp_path / "none")]))
    with pytest.raises(DataError, match="expected a readable file, got Is a directory"):
        list(read_chunks([str(tmp_path)]))
