"""Tests how a data file's lines are read, and what is said of one that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.data_file import numbered_lines
from serve.errors import DataError


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: expected a readable file, got No such file"):
        list(numbered_lines(tmp_path / "none.jsonl"))


@pytest.mark.parametrize("num_lines_before", [0, 1, 50_000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_not_utf8_are_told_by_line_and_place(
    tmp_path: Path, num_lines_before: int, mark: bytes
) -> None:
    path = tmp_path / "latin1.jsonl"
    good = '{"text": "Müller", "spans": []}\r\n'.encode()
    path.write_bytes(mark + num_lines_before * good + '{"text": "ü'.encode() + b'\xe9"}\n' + good)
    message = rf"latin1\.jsonl:{num_lines_before + 1}: expected UTF-8, got byte 12 of the line that"
    with pytest.raises(DataError, match=message):
        list(numbered_lines(path))
