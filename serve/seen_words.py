"""Owns a shorter way from plain text to its tokens, for tokenizers of BERT's own kind.

Such a tokenizer parts printable ASCII at blanks and punctuation, whatever the words are, and makes
tokens of one word at a time: a word has the same tokens wherever it stands. So only words that were
not seen lately go through the tokenizer; benchmarks/README.md has what that saves. What is
remembered came out of the tokenizer itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing, TemplateProcessing

from serve.words import NO_WORD

MAX_WORDS = 4096
"""Words remembered at a time. mwo2kg's 3,687 work orders have 1,737."""
MAX_WORD_CHARS = 32
"""Longest word remembered, so that all of them take 2 MB at most."""
_WORD = re.compile("[0-9A-Za-z]+|[^0-9A-Za-z ]")
_BEFORE_ADDED = "["
"""What tokens added to BERT's vocabulary contain, `[MASK]` say, which are looked for in the text
itself: no plain text has it."""


class Tokens(NamedTuple):
    """A text's tokens.

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


class SeenWords:
    """The words of plain texts seen lately, with their tokens. Several threads may ask at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a tokenizer that puts one special token on either side of a text."""
        self._tokenizer = tokenizer if _is_berts(tokenizer) else None
        ids = tokenizer.encode("a").ids
        self._before, self._after = ids[0], ids[-1]
        self._known: dict[str, Sequence[int]] = {}

    def tokens(self, text: str) -> Tokens | None:
        """Return a plain text's tokens, in new lists; None where only the tokenizer can tell."""
        is_plain = text.isascii() and text.isprintable() and _BEFORE_ADDED not in text
        if self._tokenizer is None or not is_plain:
            return None
        try:
            return self._joined(text, self._known)
        except KeyError:
            return self._joined(text, self._looked_up(text, self._tokenizer))

    def _joined(self, text: str, known: Mapping[str, Sequence[int]]) -> Tokens:
        tokens = Tokens([self._before], [NO_WORD], [], [])
        input_ids, word_ids, first_tokens, offsets = tokens
        for number, word in enumerate(_WORD.finditer(text)):
            pieces = known[word[0]]
            first_tokens.append(len(input_ids))
            offsets.append(word.span())
            input_ids += pieces
            word_ids += [number] * len(pieces)
        input_ids.append(self._after)
        word_ids.append(NO_WORD)
        return tokens

    def _looked_up(self, text: str, tokenizer: Tokenizer) -> dict[str, Sequence[int]]:
        """Return the tokens of all words of a text; remember those that were new."""
        known = self._known  # not read again: another thread may put an empty one in its place
        found = dict.fromkeys(_WORD.findall(text))
        new = [word for word in found if word not in known]
        encoding = tokenizer.encode(" ".join(new), add_special_tokens=False)
        pieces: dict[str, list[int]] = {word: [] for word in new}
        for number, token_id in zip(encoding.word_ids, encoding.ids, strict=True):
            if number is not None:  # no token here is special
                pieces[new[number]].append(token_id)
        self._remember({word: tuple(ids) for word, ids in pieces.items()})
        return {word: pieces[word] if word in pieces else known[word] for word in found}

    def _remember(self, pieces: Mapping[str, Sequence[int]]) -> None:
        short = [word for word in pieces if len(word) <= MAX_WORD_CHARS][:MAX_WORDS]
        known = self._known if len(self._known) + len(short) <= MAX_WORDS else {}
        known.update((word, pieces[word]) for word in short)
        self._known = known


def _is_berts(tokenizer: Tokenizer) -> bool:
    """Return whether a word's tokens do not depend on what stands beside it."""
    added = tokenizer.get_added_tokens_decoder().values()
    return (
        isinstance(tokenizer.normalizer, BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and isinstance(tokenizer.model, WordPiece)
        # Without, `serve.encoding` takes what stands between two blanks for a word.
        and bool(tokenizer.model.continuing_subword_prefix)
        and isinstance(tokenizer.post_processor, BertProcessing | TemplateProcessing)
        and tokenizer.encode("a").ids[1:-1] == [token.id for token in tokenizer.model.tokenize("a")]
        and all(_BEFORE_ADDED in token.content for token in added)
    )
