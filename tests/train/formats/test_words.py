from pathlib import Path

import pytest

from serve.examples import Example, Span
from train.formats.schemes import WordSpan
from train.formats.words import Words, off_border, read_offsets, spans_of_words, word_offsets
from train.model.base import find_base

TEXT = "fix oil-pump, now"


def texts(words: Words, text: str = TEXT) -> list[str]:
    return [text[start:end] for start, end in word_offsets(text, words)]


def test_words_end_at_blanks_or_at_punctuation_too() -> None:
    assert texts(Words.BLANKS) == ["fix", "oil-pump,", "now"]
    assert texts(Words.PUNCTUATION) == ["fix", "oil", "-", "pump", ",", "now"]


def test_only_blanks_tabs_and_line_ends_part_words_and_offsets_count_characters() -> None:
    assert texts(Words.BLANKS, "🔧 a\u00a0b\tc\r\nd") == ["🔧", "a\u00a0b", "c", "d"]
    assert texts(Words.PUNCTUATION, "🔧 é. x") == ["🔧", "é", ".", "x"]


def test_each_chinese_character_is_a_word_as_it_is_for_bert() -> None:
    assert texts(Words.PUNCTUATION, "换液压泵 oil-泵a") == [*"换液压泵", "oil", "-", "泵", "a"]
    assert not off_border(Span(1, 3, "Item"), word_offsets("换液压泵", Words.PUNCTUATION))


@pytest.mark.parametrize(
    "char", ["\x85", "\x0b", "\x1c", "\u200b", "\ufeff", "\u2028", "\u3000", "."]
)
def test_words_are_read_as_the_tagger_reads_them(tiny_base: Path, char: str) -> None:
    text = f"{char}oil{char}pump{char} on"
    (encoded,) = find_base(str(tiny_base)).encoder().encode([text])
    assert read_offsets(text, Words.PUNCTUATION) == list(encoded.offsets)


@pytest.mark.parametrize(
    ("start", "end", "is_off"),
    [(0, 3, False), (4, 13, False), (0, 13, False), (4, 12, True), (5, 13, True), (0, 4, True),
     (3, 4, True), (13, 99, True)],
)  # fmt: skip
def test_a_span_off_the_words_borders_is_told(start: int, end: int, is_off: bool) -> None:
    assert off_border(Span(start, end, "A"), word_offsets(TEXT, Words.BLANKS)) is is_off


def test_spans_become_ranges_of_words() -> None:
    example = Example(TEXT, (Span(0, 3, "A"), Span(4, 12, "B")))
    offsets = word_offsets(TEXT, Words.PUNCTUATION)
    found = spans_of_words(example, offsets, widen=False)
    assert found == [WordSpan(0, 1, "A"), WordSpan(1, 4, "B")]


def test_a_span_inside_a_word_is_refused_or_widened() -> None:
    example = Example("pumps on", (Span(0, 4, "A"), Span(6, 7, "B"), Span(7, 8, "C")))
    offsets = word_offsets(example.text, Words.BLANKS)
    message = r"begin and end with a word, got 'pump' for A; .* --words punctuation or --widen"
    with pytest.raises(ValueError, match=message):
        spans_of_words(example, offsets, widen=False)
    # Of two spans in one word the first stays.
    assert spans_of_words(example, offsets, widen=True) == [
        WordSpan(0, 1, "A"),
        WordSpan(1, 2, "B"),
    ]


def test_a_span_of_blanks_has_no_words_to_be_widened_to() -> None:
    example = Example("a  b", (Span(1, 3, "A"),))
    assert spans_of_words(example, word_offsets("a  b", Words.BLANKS), widen=True) == []
