"""Owns a shorter way from a plain line to its tokens, for tokenizers of BERT's own kind.

Such a tokenizer parts printable ASCII at blanks and punctuation, whatever the words are, and makes
tokens of one word at a time: a word that was seen once has the same tokens in every line. Between
two runs of a model, which leave the processor's caches cold, the tokenizer takes 35 to 50 us for a
line, and looking its words up 15 (Zen 4). What is remembered came out of the tokenizer itself.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from serve.words import NO_WORD

MAX_WORDS = 4096
"""Words remembered at a time, 1 MB with their tokens. mwo2kg's 3,687 work orders have 1,737."""
_MAX_CHARS = 256
"""Of longer texts the tokenizer does many words at a time, and the caches no longer matter."""
_WORD = re.compile("[0-9A-Za-z]+|[^0-9A-Za-z ]")
_BEFORE_ADDED = "["
"""What tokens added to BERT's vocabulary contain, `[MASK]` say, which are looked for in the text
itself: no plain line has it."""


class Tokens(NamedTuple):
    """A line's tokens.

    Attributes:
        input_ids: With the special tokens around them. Shape: (T,)
        word_ids: Word of each token, or `NO_WORD`. Shape: (T,)
        first_tokens: Position of each word's first token. Shape: (W,)
        offsets: Character offsets of each word, end excluded. Shape: (W, 2)
    """

    input_ids: list[int]
    word_ids: list[int]
    first_tokens: list[int]
    offsets: list[tuple[int, int]]


class PlainLines:
    """The words of plain lines seen so far, with their tokens. Several threads may call it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Remember nothing yet; and nothing ever, if the tokenizer is of another kind."""
        self._is_berts = _is_berts(tokenizer)
        self._known: dict[str, tuple[int, ...]] = {}
        self._around: tuple[int, int] | None = None

    def recall(self, text: str) -> Tokens | None:
        """Return the tokens of a plain line of known words, new lists; None for other texts."""
        known, around = self._known, self._around
        if around is None or not _is_plain(text):
            return None
        tokens = Tokens([around[0]], [NO_WORD], [], [])
        input_ids, word_ids, first_tokens, offsets = tokens
        for number, word in enumerate(_WORD.finditer(text)):
            pieces = known.get(word[0])
            if pieces is None:
                return None
            first_tokens.append(len(input_ids))
            offsets.append(word.span())
            input_ids += pieces
            word_ids += [number] * len(pieces)
        input_ids.append(around[1])
        word_ids.append(NO_WORD)
        return tokens

    def learn(self, text: str, tokens: Tokens) -> None:
        """Remember the words of a line, if it is plain, as the tokenizer had them."""
        if not (self._is_berts and _is_plain(text)):
            return
        if [word.span() for word in _WORD.finditer(text)] != tokens.offsets:
            return
        if len(self._known) + len(tokens.offsets) > MAX_WORDS:
            self._known.clear()
        input_ids = tokens.input_ids
        self._around = input_ids[0], input_ids[-1]
        bounds = pairwise([*tokens.first_tokens, len(input_ids) - 1])
        for (start, end), (first, last) in zip(tokens.offsets, bounds, strict=True):
            self._known[text[start:end]] = tuple(input_ids[first:last])


def _is_berts(tokenizer: Tokenizer) -> bool:
    """Return whether a word's tokens do not depend on what stands beside it."""
    added = tokenizer.get_added_tokens_decoder().values()
    return (
        isinstance(tokenizer.normalizer, BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and isinstance(tokenizer.model, WordPiece)
        and all(_BEFORE_ADDED in token.content for token in added)
    )


def _is_plain(text: str) -> bool:
    is_line = len(text) <= _MAX_CHARS and text.isascii() and text.isprintable()
    return is_line and _BEFORE_ADDED not in text
