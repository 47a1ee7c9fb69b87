"""Owns the way from text to token ids, for training and serving alike.

Policy:
* What a word is, `serve.words` says. Its tag is read from, and trained on, its first token.
* Nothing is truncated: a text of more tokens than the model takes is read through overlapping
  windows, and each word is read from the window that shows most of what surrounds it.
* What `serve.limits` refuses never reaches the tokenizer.
* Padding stands on the right. Serving pads by a text's own length, and by an eighth at most, so
  that batches of one padded length give answers that do not depend on a text's neighbours.

Knows nothing of tags or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from tokenizers.normalizers import BertNormalizer

from serve.artefacts.tokenizer_file import is_panic
from serve.byte_level import untrimmed
from serve.errors import DataError
from serve.limits import check_text
from serve.seen_words import SeenWords, Tokens
from serve.words import NO_WORD, disjoint, joined, trimmed, with_marks, words

MIN_TOKENS = 8
"""Shortest sequence of a model whose windows overlap at all, special tokens included."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One sequence for the model: a whole text, or a part of a long one.

    Attributes:
        input_ids: Token ids with the special tokens around them. Shape: (T,)
        word_ids: Word of each token, or `NO_WORD`. Shape: (T,)
        first_word: First word that is read from this window.
        first_tokens: Position in `input_ids` of the first token of each word read from this
            window, from `first_word` on.
    """

    input_ids: list[int]
    word_ids: list[int]
    first_word: int
    first_tokens: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedText:
    """A text as windows for the model.

    Attributes:
        windows: One for most texts, several for long ones, none for a text without words; together
            they read each word once, in order.
        offsets: Character offsets of each word, end excluded. Shape: (W, 2)
    """

    windows: tuple[Window, ...]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedBatch:
    """Windows padded to one length.

    Attributes:
        input_ids: Shape: (B, T), int64.
        attention_mask: 1 for tokens, 0 for padding. Shape: (B, T), int64.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]


class Encoder:
    """Turns texts into windows, with the tokenizer of one model.

    Attributes:
        max_tokens: Longest sequence the model takes, special tokens included.
        pad_id: Token id of padding.
        is_between_blanks: Whether its words are all between two blanks, as RoBERTa's are; or end
            at punctuation, too.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, pad_id: int) -> None:
        """Take a tokenizer whose post-processor puts one special token on either side.

        Truncation, padding and dropout are turned off in it.

        Raises:
            ValueError: If it puts another number of special tokens, or elsewhere; if its vocabulary
                lacks the token of what it does not know; or `max_tokens` is below `MIN_TOKENS`.
            DataError: If it takes no text.
        """
        if max_tokens < MIN_TOKENS:
            raise ValueError(f"expected max_tokens of at least {MIN_TOKENS}, got {max_tokens}")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if getattr(tokenizer.model, "dropout", None):  # of merges, to train with: answers at random
            tokenizer.model.dropout = None
        num_special = len(_encodings(tokenizer, [""])[0].ids)
        if num_special != 2:
            raise ValueError(f"expected a tokenizer adding 2 special tokens, got {num_special}")
        special = _encodings(tokenizer, ["a"])[0].special_tokens_mask
        if special and not special[0] == special[-1] == 1:
            raise ValueError(f"expected a special token on either side of a text, got {special}")
        unknown = getattr(tokenizer.model, "unk_token", None)
        if unknown is not None and tokenizer.token_to_id(unknown) is None:
            raise ValueError(f"expected {unknown!r:.40} in the vocabulary, which lacks it")
        # As transformers' pipeline tells the two kinds of words apart.
        self.is_between_blanks = not getattr(tokenizer.model, "continuing_subword_prefix", None)
        self._tokenizer = untrimmed(tokenizer) if self.is_between_blanks else tokenizer
        added = tokenizer.get_added_tokens_decoder().values()
        self._takes_blanks = any(token.lstrip or token.rstrip for token in added)
        # BERT's own makes no two words of one character; an added token that takes blanks takes
        # those, too, that the normalizer puts about Chinese characters, which count as their own.
        is_berts = isinstance(tokenizer.normalizer, BertNormalizer | None)
        self._may_overlap = self._takes_blanks or not is_berts
        self._seen_words = SeenWords(tokenizer)
        self.max_tokens = max_tokens
        self.pad_id = pad_id

    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        """Encode texts, each on its own.

        Raises:
            DataError: If a text is over `MAX_CHARS` or is not valid Unicode, naming its index; or
                is not one that the tokenizer takes, quoting it.
        """
        for index, text in enumerate(texts):
            check_text(text, index)
        plain = list(map(self._seen_words.tokens, texts))
        others = [text for text, tokens in zip(texts, plain, strict=True) if tokens is None]
        encodings = iter(_encodings(self._tokenizer, others) if others else ())
        return [
            self._in_windows(tokens or self._tokens(text, next(encodings)))
            for text, tokens in zip(texts, plain, strict=True)
        ]

    def collate(self, windows: Sequence[Window], num_tokens: int | None = None) -> EncodedBatch:
        """Pad windows on the right.

        Args:
            windows: Shape: (B,)
            num_tokens: T, which no window exceeds; None for the length of the longest.
        """
        if num_tokens is None:
            num_tokens = max(len(window.input_ids) for window in windows)
        if len(windows) == 1 and len(windows[0].input_ids) == num_tokens:  # nothing to pad
            ids = np.array([windows[0].input_ids], dtype=np.int64)
            return EncodedBatch(ids, np.ones(ids.shape, dtype=np.int64))
        input_ids = np.full((len(windows), num_tokens), self.pad_id, dtype=np.int64)
        attention_mask = np.zeros((len(windows), num_tokens), dtype=np.int64)
        for row, window in enumerate(windows):
            input_ids[row, : len(window.input_ids)] = window.input_ids
            attention_mask[row, : len(window.input_ids)] = 1
        return EncodedBatch(input_ids, attention_mask)

    def _tokens(self, text: str, encoding: Encoding) -> Tokens:
        word_ids = [NO_WORD if word is None else word for word in encoding.word_ids]
        if self.is_between_blanks:
            word_ids = joined(text, word_ids, encoding.offsets)
        elif self._may_overlap:
            word_ids = disjoint(word_ids, encoding.offsets)
        first_tokens, offsets = words(word_ids, encoding.offsets)
        if self._takes_blanks or self.is_between_blanks:
            offsets = [trimmed(text, *word) for word in offsets]
        if offsets and not text.isascii():
            offsets = with_marks(text, offsets)
        return Tokens(encoding.ids, word_ids, first_tokens, offsets)

    def _in_windows(self, tokens: Tokens) -> EncodedText:
        input_ids, word_ids, first_tokens, offsets = tokens
        if not offsets:
            return EncodedText((), [])
        if len(word_ids) <= self.max_tokens:
            return EncodedText((Window(input_ids, word_ids, 0, first_tokens),), offsets)
        return EncodedText(tuple(self._windows(input_ids, word_ids, first_tokens)), offsets)

    def _windows(
        self, input_ids: list[int], word_ids: list[int], first_tokens: list[int]
    ) -> list[Window]:
        """Cut a long sequence into windows that overlap by a quarter."""
        content = self.max_tokens - 2
        overlap = content // 4
        last = len(input_ids) - 1  # the closing special token
        windows: list[Window] = []
        word = 0
        for step in range(1, last, content - overlap):
            start = min(step, last - content)  # the last window is a full one too
            end = start + content
            # The middle of the overlap: a word beyond it has more context in the next window.
            limit = last if end == last else end - overlap // 2
            first_word = word
            while word < len(first_tokens) and first_tokens[word] < limit:
                word += 1
            windows.append(
                Window(
                    [input_ids[0], *input_ids[start:end], input_ids[last]],
                    [NO_WORD, *word_ids[start:end], NO_WORD],
                    first_word,
                    [token - start + 1 for token in first_tokens[first_word:word]],
                )
            )
            if end == last:
                break
        return windows


def _encodings(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    """Return each text's tokens.

    Raises:
        DataError: If the tokenizer does not take a text; quoting how it begins, for a text's place
            here is not the caller's.
    """
    try:
        if len(texts) == 1:  # encode_batch wakes a thread pool; one text does not need it
            return [tokenizer.encode(texts[0])]
        return tokenizer.encode_batch(list(texts))
    except BaseException as error:
        if not is_panic(error):
            raise
        if len(texts) > 1:  # which of them?
            return [_encodings(tokenizer, [text])[0] for text in texts]
        raise DataError(
            f"expected texts that the tokenizer takes, got {error} at {texts[0]!a:.60}; train from "
            "a model with a sound tokenizer"
        ) from error


def bucket_of(num_tokens: int, max_tokens: int) -> int:
    """Return a sequence's padded length: at most an eighth more, and at most `max_tokens`.

    Eight lengths to an octave: lines below 16 tokens are not padded at all, which a third of their
    time would go to, and long texts do not come in hundreds of shapes.
    """
    step = 1 << max(0, num_tokens.bit_length() - 4)
    return min(-(-num_tokens // step) * step, max_tokens)
