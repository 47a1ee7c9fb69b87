"""Tests a file of lines that several append to, and that crashes cut off."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from serve.errors import in_words
from serve.rows import append_line, whole_lines

ROOT = Path(__file__).resolve().parents[2]


def test_lines_are_appended_where_nothing_was(tmp_path: Path) -> None:
    path = tmp_path / "below" / "rows.jsonl"
    assert whole_lines(path) == []
    append_line(path, "é")
    append_line(path, "b\u2028c")
    assert whole_lines(path) == ["é", "b\u2028c"]


@pytest.mark.parametrize("left", ["{", "é".encode()[:1].decode("latin-1")])
def test_a_line_without_end_is_passed_over_and_gone_with_the_next(
    tmp_path: Path, left: str
) -> None:
    path = tmp_path / "rows.jsonl"
    append_line(path, "a")
    before = path.read_bytes() + left.encode("latin-1")
    path.write_bytes(before)
    assert whole_lines(path) == ["a"]
    assert path.read_bytes() == before, "it may be another's, who is writing it"
    append_line(path, "b")
    assert whole_lines(path) == ["a", "b"]


def test_lines_of_several_processes_are_whole(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom serve.rows import append_line\n"
        "for number in range(30): append_line(Path(sys.argv[1]), sys.argv[2] * 9999)"
    )
    path = tmp_path / "rows.jsonl"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT) for name in "ab"
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert sorted(whole_lines(path)) == ["a" * 9999] * 30 + ["b" * 9999] * 30


def test_a_line_that_finds_no_room_leaves_no_half(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_line(path, "a")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left on device"):
            append_line(path, "b" * 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"a\n"


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=re.escape(str(path))) as told:
        append_line(path, "a")
    assert in_words(told.value).startswith(f"{path}: ")
