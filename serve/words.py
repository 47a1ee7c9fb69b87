"""Owns which tokens make a word, and where in the text it stands.

Policy:
* A *word* is what the tokenizer's own pre-tokenizer makes of the text (BERT: runs of letters and
  digits, and single punctuation marks). Tokenizers that mark a word by the blank before it instead
  of marking its later tokens (RoBERTa's byte-level BPE, XLM-RoBERTa's Unigram) have the words their
  models are trained on: all between two blanks, punctuation included.
* No word begins or ends with a blank, and no two words overlap: what normalization makes of one
  character (`...` of an ellipsis) is one word.
* A character that normalization removes (a combining accent, a zero-width blank) belongs to the
  word it stands inside, and to none at a word's edge; but combining marks, and the later parts of a
  Korean syllable, belong to the word they follow, for they are part of its last letter. Here
  transformers' token-classification pipeline differs: it guesses words from the lengths of tokens,
  joins a word with such a character inside to the word before it, and leaves marks at its end out.
  On all others its words are these.

Knows nothing of tokenizers: it is given each token's pre-token and its offsets.
"""

from __future__ import annotations

import unicodedata

NO_WORD = -1
"""Word id of special tokens and padding."""
_FIRST_MARK = "\u0300"
_PARTS_OF_A_LETTER = frozenset(map(chr, (*range(0x1160, 0x1200), 0xFF9E, 0xFF9F)))
"""What composes with the letter before it and is no mark: Hangul's vowels and finals, and the
voicing of halfwidth Katakana."""


def words(
    word_ids: list[int], token_offsets: list[tuple[int, int]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the first token of each word, and its character offsets, end excluded.

    Args:
        word_ids: Of each token; `NO_WORD` for those of none. Shape: (T,)
        token_offsets: Of each token, in characters of the text. Shape: (T, 2)

    Returns:
        Shapes: (W,) and (W, 2)
    """
    first_tokens: list[int] = []
    offsets: list[tuple[int, int]] = []
    previous = NO_WORD
    for token, word in enumerate(word_ids):
        if word == NO_WORD:
            continue
        start, end = token_offsets[token]
        if word == previous:
            offsets[-1] = (offsets[-1][0], end)
        else:
            first_tokens.append(token)
            offsets.append((start, end))
        previous = word
    return first_tokens, offsets


def with_marks(text: str, offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return words' offsets with the rest of their last letter: the combining marks that follow.

    Tokens do not have it where a normalizer drops it (BERT's uncased) or composes it (NFC).

    Args:
        text: The whole text.
        offsets: Character offsets of its words, in order. Shape: (W, 2)

    Returns:
        Shape: (W, 2)
    """
    marked: list[tuple[int, int]] = []
    limits = [start for start, _ in offsets[1:]] + [len(text)]
    for (start, end), limit in zip(offsets, limits, strict=True):
        while (
            end < limit
            and text[end] >= _FIRST_MARK
            and (unicodedata.category(text[end])[0] == "M" or text[end] in _PARTS_OF_A_LETTER)
        ):
            end += 1
        marked.append((start, end))
    return marked


def disjoint(word_ids: list[int], token_offsets: list[tuple[int, int]]) -> list[int]:
    """Return the word of each token: one that begins before the last one's end is part of that.

    Args:
        word_ids: Of each token; `NO_WORD` for those of none. Shape: (T,)
        token_offsets: Of each token, in characters of the text. Shape: (T, 2)

    Returns:
        Shape: (T,)
    """
    ids: list[int] = []
    previous, previous_end, num_merged = NO_WORD, 0, 0
    for word, (start, end) in zip(word_ids, token_offsets, strict=True):
        if word == NO_WORD:
            ids.append(NO_WORD)
            continue
        if word != previous and start < previous_end:
            num_merged += 1
        previous, previous_end = word, end
        ids.append(word - num_merged)
    return ids


def joined(text: str, pre_token_ids: list[int], token_offsets: list[tuple[int, int]]) -> list[int]:
    """Return the word of each token: pre-tokens with no blank between them are one word.

    A pre-token of blanks alone is no word.

    Args:
        text: The whole text.
        pre_token_ids: Of each token, as the tokenizer numbers them. Shape: (T,)
        token_offsets: Of each token, in characters of the text. Shape: (T, 2)

    Returns:
        Shape: (T,)
    """
    _, offsets = words(pre_token_ids, token_offsets)
    if any(len(text[start:end].split()) > 1 for start, end in offsets):
        pre_token_ids = _parted(text, pre_token_ids, token_offsets)
        _, offsets = words(pre_token_ids, token_offsets)
    distinct = [pre_token for pre_token in dict.fromkeys(pre_token_ids) if pre_token != NO_WORD]
    word_of = {NO_WORD: NO_WORD}
    word, previous_end = NO_WORD, 0
    for pre_token, (start, end) in zip(distinct, offsets, strict=True):
        start, end = trimmed(text, start, end)
        if not text[start:end].strip():
            word_of[pre_token] = NO_WORD
            continue
        if word == NO_WORD or any(map(str.isspace, text[previous_end:start])):
            word += 1
        word_of[pre_token], previous_end = word, end
    return [word_of[pre_token] for pre_token in pre_token_ids]


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a word's offsets without the blanks that an added token took in beside it."""
    word = text[start:end]
    bare = word.strip()
    start += word.find(bare) if bare else 0
    return start, start + len(bare or word)


def _parted(text: str, pre_token_ids: list[int], token_offsets: list[tuple[int, int]]) -> list[int]:
    """Return the pre-token of each token, parted where blanks stand inside it.

    Not every pre-tokenizer parts a text at blanks: Metaspace and byte level can leave it whole.
    """
    parted: list[int] = []
    part, previous, word_end = NO_WORD, NO_WORD, None
    for pre_token, (start, end) in zip(pre_token_ids, token_offsets, strict=True):
        if pre_token == NO_WORD:
            parted.append(NO_WORD)
            continue
        bare = text[start:end].lstrip()
        start = end - len(bare)
        if pre_token != previous:
            part, previous, word_end = part + 1, pre_token, None
        elif bare and word_end is not None and any(map(str.isspace, text[word_end:start])):
            part += 1
        if bare:
            word_end = start + len(bare.rstrip())
        parted.append(part)
    return parted
