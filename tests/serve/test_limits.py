"""Tests what is refused at the door: texts by characters and bytes, names by their characters."""

from __future__ import annotations

import re

import pytest

from serve.errors import DataError
from serve.limits import MAX_CHARS, MAX_TEXT_BYTES, check_name, decode_text


def test_the_longest_text_passes_and_a_character_more_does_not() -> None:
    for character in ("x", "é", "本", "🔧"):
        longest = character * MAX_CHARS
        assert decode_text(longest.encode(), 0) == longest
        with pytest.raises(DataError, match=f"text 3: expected at most {MAX_CHARS} characters"):
            decode_text(f"{longest}{character}".encode(), 3)


def test_bytes_beyond_any_text_are_refused_before_they_are_decoded() -> None:
    class Undecodable(bytes):
        def decode(self, *_: object) -> str:
            raise AssertionError("decoded")

    with pytest.raises(DataError, match=f"text 0: .* got {MAX_TEXT_BYTES + 1} bytes; cut it up"):
        decode_text(Undecodable(MAX_TEXT_BYTES + 1), 0)


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(DataError, match="text 2: expected UTF-8, got byte 1 that is not"):
        decode_text(b"x\xff", 2)


@pytest.mark.parametrize("name", ["tagger", "a", "A.b_c-9", "x" * 64, "1"])
def test_a_name_is_returned(name: str) -> None:
    assert check_name(name, "model name") == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a/b", "a b", "é", "a\n", "a\x00", "٣"])
def test_anything_else_is_no_name(name: str) -> None:
    message = f"expected a model name of 1 to 64 letters, .* got {re.escape(repr(name)[:60])}"
    with pytest.raises(ValueError, match=message):
        check_name(name, "model name")
