"""Owns the words of formats that label words, and how spans of characters are put onto them.

Words stand between blanks (blank, tab, line end), so that a text of words joined by single blanks
comes back as it was; or they are BERT's: runs of letters and digits, single punctuation marks and
single Chinese characters, so that a span may end before a full stop. A span must begin and end with
a word, or be widened to the words it touches.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tokenizers import PreTokenizedString
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from serve.examples import Example, Span
from train.formats.schemes import Scheme, WordSpan

_BETWEEN_BLANKS = re.compile(r"[^ \t\r\n]+")
_BERT = BertPreTokenizer()
# It is BERT's normalizer that parts Chinese characters. Nothing else of it is wanted here: words
# that are written into a file keep their case, their accents and what cannot be seen.
_PARTED = BertNormalizer(clean_text=False, strip_accents=False, lowercase=False)
_READ = BertNormalizer(clean_text=True, strip_accents=False, lowercase=False)


class Words(StrEnum):
    """What parts two words."""

    BLANKS = "blanks"
    PUNCTUATION = "punctuation"


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How examples become a format of words.

    Attributes:
        words: What parts two words.
        scheme: The tags' scheme.
        widen: Widen spans that begin or end inside a word, instead of refusing them.
    """

    words: Words = Words.BLANKS
    scheme: Scheme = Scheme.IOB2
    widen: bool = False


def word_offsets(text: str, words: Words) -> list[tuple[int, int]]:
    """Return where the words of a text begin and end. Shape: (W, 2)."""
    return _offsets(text, words, _PARTED)


def read_offsets(text: str, words: Words) -> list[tuple[int, int]]:
    """Return where the words begin and end that a tagger reads. Shape: (W, 2).

    BERT drops what cannot be seen, such as NEL or a blank without width, and then parts words:
    where nothing else stands between two of them they are one.
    """
    return _offsets(text, words, _READ)


def _offsets(text: str, words: Words, normalizer: BertNormalizer) -> list[tuple[int, int]]:
    if words is Words.BLANKS:
        return [match.span() for match in _BETWEEN_BLANKS.finditer(text)]
    parted = PreTokenizedString(text)
    parted.normalize(normalizer.normalize)
    _BERT.pre_tokenize(parted)
    return [offsets for _, offsets, _ in parted.get_splits("original", "char")]


def off_border(span: Span, offsets: Sequence[tuple[int, int]]) -> bool:
    """Tell whether a span begins or ends elsewhere than a word does."""
    first, end = touched(span, offsets)
    return first >= end or (offsets[first][0], offsets[end - 1][1]) != (span.start, span.end)


def spans_of_words(
    example: Example, offsets: Sequence[tuple[int, int]], *, widen: bool
) -> list[WordSpan]:
    """Return an example's spans as ranges of its words.

    Args:
        example: The text and its spans.
        offsets: Character offsets of its words. Shape: (W, 2)
        widen: Widen a span to the words it touches; of those that then overlap the first stays.

    Raises:
        ValueError: If a span does not begin and end with a word, unless it is to be widened.
    """
    found: list[WordSpan] = []
    for span in example.spans:
        if not widen and off_border(span, offsets):
            raise ValueError(
                f"expected spans that begin and end with a word, got "
                f"{example.text[span.start : span.end]!r} for {span.label}; move its borders, "
                "or give --words punctuation or --widen"
            )
        first, end = touched(span, offsets)
        if first < end and (not found or found[-1].end_word <= first):
            found.append(WordSpan(first, end, span.label))
    return found


def touched(span: Span, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the range of words that have a character of a span."""
    first = bisect_right(offsets, span.start, key=lambda word: word[1])
    return first, bisect_left(offsets, span.end, key=lambda word: word[0])
